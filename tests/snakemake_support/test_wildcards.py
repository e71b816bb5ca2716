"""Names that become wildcards arrive at other machines as they were sent, by Snakemake's own writing and reading."""

import shlex
import subprocess

import pytest
from snakemake.target_jobs import parse_target_jobs_cli_args
from snakemake_interface_executor_plugins.utils import TargetSpec, encode_target_jobs_cli_args, format_cli_arg

from gengap.errors import UserError
from gengap.studies.packing import dataset_key, labels_key, packs
from gengap.studies.settings import Cell
from gengap.studies.simulation import load_simulation
from gengap.studies.study import load_study

STUDY = """\
title: Names with every sign that a user may give
base: {dataset: {name: fashion_mnist, image_size: 8}, labels: class_subset}
grid:
  arm:
    first+5.0-a: {model: wide_resnet}
    größer: {}
  labels.classes: [["T-shirt; (5) #1", "a~b & c*"], ["été:2", "<x>|[y]?"]]
  training.batch_size: [20, 40]
  seed: [0]
"""


@pytest.fixture
def jobs(tmp_path):
    path = tmp_path / "study+1=b.yaml"
    path.write_text(STUDY)
    study = load_study(path)
    found = packs(study)
    cell = next(iter(study.cells.values()))
    assert len(found) > 4
    return [
        *({"study": study.name, "pack": pack, "probe": "gradient"} for pack in found),
        {"dataset": dataset_key(cell), "labels": labels_key(cell)},
        {},
    ]


def test_snakemake_reads_what_it_sent(jobs):
    entries = encode_target_jobs_cli_args([TargetSpec("rule", wildcards) for wildcards in jobs])
    assert [job.wildcards_dict for job in parse_target_jobs_cli_args(entries)] == jobs


def test_a_shell_hands_them_on_as_they_are_even_within_double_quotes(jobs):
    """Slurm's plugin puts the call of a job array in double quotes as it is."""
    entries = encode_target_jobs_cli_args([TargetSpec("rule", wildcards) for wildcards in jobs])
    words = format_cli_arg("--target-jobs", entries)
    shell = subprocess.run(f'printf %s "{words}"', shell=True, capture_output=True, text=True, check=True)
    assert shlex.split(shell.stdout)[1:] == entries


@pytest.mark.parametrize("sign", list("/\\,=+'\"`$!%\n\t\u00a0"))
def test_a_class_whose_name_would_not_arrive_is_refused(tmp_path, sign):
    path = tmp_path / "s.yaml"
    labels = f"{{name: class_subset, classes: [{quoted('a' + sign + 'b')}, c]}}"
    path.write_text(f"title: t\nbase: {{labels: {labels}}}\n")
    with pytest.raises(UserError, match="cannot stand in the name of a cell; give the class's number instead"):
        load_study(path)


def quoted(text):
    """Text as YAML reads it in double quotes."""
    return '"' + "".join(f"\\x{ord(sign):02x}" for sign in text) + '"'


@pytest.mark.parametrize("load", [load_study, load_simulation])
@pytest.mark.parametrize("name", ["a,b", "it's", "5%", "a$b"])
def test_a_file_whose_name_would_not_arrive_is_refused(tmp_path, load, name):
    path = tmp_path / f"{name}.yaml"
    path.write_text("title: t\n")
    with pytest.raises(UserError, match=r"cannot stand in the name of a (study|simulation), which is a part of paths"):
        load(path)


def test_names_of_data_tell_settings_apart():
    cells = [Cell.from_identity({"dataset.name": name, **options}) for name, options in DATA]
    assert len({dataset_key(cell) for cell in cells}) == len(DATA)


DATA = [
    ("gaussian", {}),
    ("gaussian", {"dataset.image_size": 8}),
    ("gaussian", {"dataset.n_train": 8}),
    ("gaussian", {"dataset.n_train": 8, "dataset.n_test": 8}),
    ("fashion_mnist", {"dataset.image_size": 8}),
]
