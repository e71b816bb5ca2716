"""The names of files are spelled in `gengap.layout` alone; dvc.yaml, which cannot call it, agrees with it."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from gengap import layout
from gengap.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src/gengap"
# The second has names of the past; the third is part of a published folder.
OTHERS = {PACKAGE / "layout.py", PACKAGE / "files/legacy_names.py", PACKAGE / "cli/publication/load.py"}
PYTHON = sorted({*PACKAGE.rglob("*.py"), *(REPOSITORY / "workflow/scripts").glob("*.py")} - OTHERS)
RULES = sorted([REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk")])
SPELLED = re.compile(
    r"^(results|data|config|\.gengap|\.snakemake)/|^(results|\.gengap|\.snakemake)$|/(packs|points|probes|figures|tables|logs|plots)/"
    r"|(^|/)((weights|history|measurements)\.h5|(cells|verdicts)\.csv|metrics\.json|report\.html)$"
)


def texts(path):
    """Every text in a module's code that could be a path: docstrings and sentences are none."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
        if isinstance(text, str) and not re.search(r"\s", text.strip("\n")):
            yield text


def rule_texts(path):
    """Every quoted text in a file of rules, docstrings and comments left out."""
    code = re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL)
    return re.findall(r'"([^"\n]*)"', re.sub(r"^\s*#.*$", "", code, flags=re.MULTILINE))


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_other_module_spells_names_of_files(path):
    assert [text for text in texts(path) if SPELLED.search(text)] == []


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_no_rule_spells_names_of_files(path):
    allowed = {"config/config.yaml"}  # `configfile:` of the Snakefile is read before any code
    assert [text for text in rule_texts(path) if SPELLED.search(text) and text not in allowed] == []


def test_the_makefile_spells_none():
    text = (REPOSITORY / "Makefile").read_text()
    assert re.findall(r"""(?:^|[\s"'=])(?:results|data|\.snakemake)/""", text) == []
    assert text.count("gengap path ") >= 5


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        ("results/a/packs", True),
        (".gengap/store", True),
        ("weights.h5", True),
        ("data/prepared", True),
        ("/packs/", True),
        ("weights", False),
        ("data", False),
        ("evidence/figures", False),
    ],
)
def test_names_of_files_are_recognised(path, spelled):
    assert bool(SPELLED.search(path)) == spelled


def dvc_paths(node):
    """Every path of dvc.yaml: names of files in lists and mappings, and words of commands that have a slash."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "cmd":
                yield from (word for word in value.split() if "/" in word)
            elif key in ("deps", "outs", "metrics", "plots", "params"):
                for one in value:
                    yield one if isinstance(one, str) else next(iter(one))
            elif isinstance(value, dict):
                yield from dvc_paths(value)


def test_dvc_yaml_has_the_names_of_the_layout():
    content = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())
    named = {layout.CONFIG, layout.STUDIES, layout.SIMULATIONS, layout.PUBLISHED, layout.PLUGINS}
    named |= {layout.PREPARED, layout.LABELLED, layout.JOBS, layout.RECORDS, layout.tracked_metrics("x").parent}
    named |= {layout.jobs("datasets"), layout.jobs("labelled"), layout.script("x").parent}
    named |= {Path("src/gengap"), Path("src/gengap/versions.py")}
    for item in ("${item}", "${item}-reduced"):
        named |= {layout.jobs(stage, item) for stage in ("checkpoints", "evidence", "simulations")}
        named |= {layout.study_file(item), layout.simulation_file(item), layout.plot(item, "curves")}
        named |= {layout.packs(item), layout.points(item), layout.figures(item), layout.tables(item)}
        named |= {layout.measurements(item), layout.cells(item), layout.verdicts(item), layout.metrics(item)}
        named |= {layout.tracked_metrics(item), layout.plot(item, "final")}
    found = {Path(path) for path in dvc_paths(content["stages"])}
    assert found <= named
    assert len(found) > 30


def test_with_wildcards_a_name_is_a_pattern():
    assert str(layout.probe("{study}", "{pack}", "{probe}")).format(study="s", pack="width=4_pack=0", probe="p") == str(
        layout.probe("s", "width=4_pack=0", "p")
    )
    assert str(layout.log("{study}", "probe", "{pack}", "{probe}")) == "results/{study}/logs/probe/{pack}/{probe}.log"
    assert str(layout.data_log("label", "{dataset}", "{labels}")) == "data/logs/label/{dataset}/{labels}.log"


def test_a_dot_in_a_name_is_no_suffix():
    assert layout.probe("s", "lr=0.1_pack=0", "own.probe").name == "own.probe.h5"
    assert layout.log("s", "train", "lr=0.1_pack=0").name == "lr=0.1_pack=0.log"


def test_the_command_prints_a_name(capsys):
    assert main(["path", "probe", "s", "p", "gradient"]) == 0
    assert capsys.readouterr().out == f"{layout.probe('s', 'p', 'gradient')}\n"
    assert main(["path", "report"]) == 1
    assert capsys.readouterr().err == "error: gengap path report: takes STUDY, got 0 names.\n"
