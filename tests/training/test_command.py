"""`python -m gengap.training` on the studies of large networks, cut to toy size: the files that the workflow makes."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from stored import edited

from gengap.errors import UserError
from gengap.evidence import collect, measurements
from gengap.files import storage
from gengap.studies.settings import Cell
from gengap.studies.study import load_study
from gengap.training import __main__ as command

REPOSITORY = Path(__file__).resolve().parents[2]
TOY = {
    "dataset": {"name": "gaussian", "image_size": 32, "n_train": 60, "n_test": 24},
    "labels": {"name": "distinct_teacher", "teacher_width": 4, "teacher_outputs": 5},
    "model.width": 2,
    "training": {"epochs": 1, "dtype": "float32", "evaluate_every": 1},
}
GRID = {"dataset": ["gaussian"], "training.batch_size": [20], "seed": [0, 1]}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the configuration and a study whose reduced settings are a toy's; returns the study's name."""

    def make(name, **toy):
        for path in ("config/config.yaml", f"config/studies/{name}.yaml"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / path, tmp_path / path)
        study = tmp_path / f"config/studies/{name}.yaml"
        content = yaml.safe_load(study.read_text())
        content["reduced"] |= {"base": TOY | toy, "grid": GRID}
        study.write_text(yaml.safe_dump(content, sort_keys=False))
        monkeypatch.chdir(tmp_path)
        return f"{name}-reduced"

    return make


def files(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.h5")}


@pytest.mark.thorough
@pytest.mark.parametrize("network", ["vgg", "resnet"])
def test_a_study_of_large_networks_is_trained_and_measured(network, project, tmp_path):
    small = {"resnet": {"dataset": TOY["dataset"] | {"image_size": 8}}}  # VGG-16 halves its images five times
    name = project(f"near_rank_{network}", **small.get(network, {}))
    command.main([name, "--device", "cpu"])
    study = load_study(tmp_path / f"config/studies/near_rank_{network}.yaml", reduced=True)
    pack = tmp_path / "results" / name / "packs/dataset=gaussian_batch_size=20_pack=0"
    probes = [pack / f"probes/{probe.name}.h5" for probe in study.probes]
    collect.collect(study, {}, [pack / "history.h5"], probes, tmp_path / "measurements.h5", tmp_path / "cells.csv")
    found = measurements.read(tmp_path / "measurements.h5")
    assert list(found.cells["status"]) == ["finished"] * 2
    assert found.failures.empty
    # Every ReLU in four modes, and the output: VGG-16 has 13 ReLUs, ResNet-56 one and two for each of 27 blocks.
    counted = found.measurements[found.measurements["quantity"] == "near_rank"]
    assert counted["layer"].nunique() == 1 + 4 * {"vgg": 13, "resnet": 55}[network] + 1
    assert (found.cells["train_objective"] > found.cells["train_loss"]).all()


def test_what_is_finished_is_left_and_what_lacks_is_made(project, tmp_path):
    name = project("near_rank_vgg")
    command.main([name, "--device", "cpu", "--cells", "seed=0"])
    packs = tmp_path / "results" / name / "packs"
    before = files(packs)
    assert {Path(path).name for path in before} == {"weights.h5", "history.h5", "performance.h5", "near_rank.h5"}
    (near_rank,) = packs.rglob("near_rank.h5")
    near_rank.unlink()
    command.main([name, "--device", "cpu", "--cells", "seed=0"])
    after = files(packs)
    changed = {Path(path).name for path in after if after[path] != before[path]}
    assert "near_rank.h5" in changed
    assert "performance.h5" not in changed
    command.main([name, "--device", "cpu"])  # now with the other seed
    with storage.reading(next(packs.rglob("performance.h5")), "probe") as file:
        assert set(storage.read_table(file, "measurements")["cell"]) == {
            f"dataset=gaussian,batch_size=20,seed={seed}" for seed in (0, 1)
        }


@pytest.mark.thorough
def test_what_other_code_made_is_made_again(project, tmp_path):
    """One file says so, as after an edit of the probe; another says nothing of code, as those of earlier versions."""
    name = project("near_rank_vgg")
    command.main([name, "--device", "cpu", "--cells", "seed=0"])
    packs = tmp_path / "results" / name / "packs"
    for probe, code in (("near_rank", "other"), ("performance", None)):
        with edited(next(packs.rglob(f"{probe}.h5"))) as file:
            provenance = json.loads(file.attrs["provenance"])
            assert provenance.pop("code")
            file.attrs["provenance"] = json.dumps(provenance | ({"code": code} if code else {}))
    before = files(tmp_path)
    command.main([name, "--device", "cpu", "--cells", "seed=0"])
    after = files(tmp_path)
    changed = {Path(path).name for path in after if after[path] != before[path]}
    assert changed - {"weights.h5", "history.h5"} == {"near_rank.h5"}  # these two are written again in any case


def test_mistakes_are_named(project, capfd):
    name = project("near_rank_vgg")
    with pytest.raises(UserError, match=r"no cell of 'near_rank_vgg-reduced' has seed=7. Their names look like"):
        command.chosen(command.find(name), "seed=7")
    with pytest.raises(SystemExit) as ended:
        command.main(["near_rank_vg"])
    assert ended.value.code == 1
    assert "Did you mean 'near_rank_vgg'?" in capfd.readouterr().err


@pytest.fixture
def study(tmp_path):
    """A study of twelve cells with numbers and words in their names."""
    path = tmp_path / "s.yaml"
    grid = "{model.width: [4, 8], labels.minority_share: [0.0, 0.4], init: [he, xavier, default], seed: [0]}"
    path.write_text(f"title: t\nbase: {{labels: teacher}}\ngrid: {grid}\n")
    return load_study(path)


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        ("width=4", 6),
        ("seed=0, width=8", 6),
        ("minority_share=0", 6),
        ("minority_share=.40,init=he", 2),
        ("init=h*", 4),
    ],
)
def test_cells_are_chosen_by_value_not_by_spelling(study, selector, count):
    assert len(command.chosen(study, selector).cells) == count


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("", "cells: '' is no selector. Write axis=value pairs such as width=4,init=he."),
        ("width", "cells: 'width' is no selector"),
        ("width=4,width=8", "cells: 'width=4,width=8' gives 'width' twice. Remove one."),
        ("widht=4", "unknown axis 'widht'. Did you mean 'width'? Choose from: init, minority_share, seed, width."),
        ("depth=4", "unknown axis 'depth'. Choose from: init, minority_share, seed, width."),
        ("width=5", "no cell of 's' has width=5. Their names look like width=4"),
    ],
)
def test_a_selector_of_nothing_is_one_sentence(study, selector, words):
    with pytest.raises(UserError) as caught:
        command.chosen(study, selector)
    assert words in str(caught.value)


@pytest.mark.parametrize("edited_between", [False, True])
def test_cells_of_an_earlier_selection_stay(edited_between, project, tmp_path):
    name = project("near_rank_vgg")
    command.main([name, "--device", "cpu", "--cells", "seed=0"])
    if edited_between:  # they are other cells then, which were not asked for
        path = tmp_path / "config/studies/near_rank_vgg.yaml"
        content = yaml.safe_load(path.read_text())
        content["reduced"]["base"]["optimizer"] = {"name": "sgd", "lr": 0.0123}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    command.main([name, "--device", "cpu", "--cells", "seed=1"])
    for file, kind, table in (("history", "history", "history"), ("performance", "probe", "measurements")):
        (path,) = (tmp_path / "results" / name / "packs").rglob(f"{file}.h5")
        with storage.reading(path, kind) as content:
            cells = {cell.rpartition("=")[2] for cell in storage.read_table(content, table)["cell"]}
        assert cells == ({"1"} if edited_between else {"0", "1"})


@pytest.mark.parametrize("settings", [{}, {"model": {"name": "gone"}}, {"training": {"epochs": -1}}, {"seed": "x"}])
def test_settings_of_other_versions_are_those_of_no_cell(settings):
    assert not command._is_of(settings, Cell.model_validate({"seed": 3}))
    assert command._is_of(Cell.model_validate({"seed": 3}).model_dump(mode="json"), Cell.model_validate({"seed": 3}))
