"""A published folder stands alone, and comes back."""

import hashlib
import json
import re
import runpy
import shutil

import pandas as pd
import pytest
import torch
from safetensors import safe_open

import gengap
from gengap.cli.main import main
from gengap.cli.publish import files_of
from gengap.errors import UserError

CELL = "width=2,lr=0.1,seed=0"


@pytest.fixture(scope="module")
def published(finished_workspace, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished_workspace.folder)
        assert main(["publish", "tiny", str(folder)]) == 0
    return folder


def test_the_weights_are_read_without_gengap_and_build_the_network(published, finished_workspace, monkeypatch):
    monkeypatch.chdir(published)
    assert "import gengap" not in (published / "load.py").read_text()
    state = runpy.run_path("load.py")["weights"](CELL)
    network = gengap.load(finished_workspace / "results/tiny").network(CELL)
    own = {key: one for key, one in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.testing.assert_close(state, own, rtol=0, atol=0)


def test_the_header_of_the_weights_has_the_settings_of_every_network(published):
    pack = pd.read_csv(published / "cells.csv", index_col="cell").pack[CELL]
    with safe_open(published / f"weights/{pack}.safetensors", "numpy") as file:
        facts = file.metadata()
    assert json.loads(facts["cells"])[CELL]["model"]["width"] == 2
    assert (json.loads(facts["image_shape"]), facts["n_outputs"]) == ([3, 8, 8], "1")


@pytest.mark.parametrize("cut", [0, 1, -1])
def test_digests_that_are_cut_short_are_no_digests(published, tmp_path, cut):
    folder = shutil.copytree(published, tmp_path / "tiny")
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    kept = [line for line in lines[:cut] if not line.endswith("tiny.h5\n")]
    (folder / "SHA256SUMS").write_text("".join(kept))
    with pytest.raises(UserError, match=r"tiny\.h5: has no digest in SHA256SUMS, which is cut short\. Get the folder"):
        files_of(folder)


def test_every_file_has_its_digest(published):
    lines = dict(reversed(line.split("  ")) for line in (published / "SHA256SUMS").read_text().splitlines())
    there = {path.relative_to(published).as_posix() for path in published.rglob("*") if path.is_file()}
    assert set(lines) == there - {"SHA256SUMS"}
    assert {"README.md", "CITATION.cff", "load.py", "study.yaml", "tiny.h5", "figures/accuracy_by_width.png"} < there
    assert all(hashlib.sha256((published / name).read_bytes()).hexdigest() == one for name, one in lines.items())
    card = (published / "README.md").read_text()
    assert not re.search(r"TITLE|QUESTION|SOURCE|SETTINGS|NETWORKS|STUDY|VERDICTS", card)


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_project_without_the_study_is_told_what_to_do(
    published, make_workspace, tmp_path, monkeypatch, as_folder, capsys
):
    study = (published / "study.yaml").read_text()
    clone = make_workspace(tmp_path / "clone", "other", study.replace("lr: [0.1]", "lr: [0.3]"))
    monkeypatch.chdir(clone.folder)
    assert main(["import", str(published if as_folder else published / "tiny.h5")]) == 1
    said = capsys.readouterr().err
    assert "it is of the study 'tiny', which this project does not have." in said
    assert (f"cp {published / 'study.yaml'} config/studies/tiny.yaml" in said) == as_folder
    if not as_folder:
        assert "Put its file into config/studies/tiny.yaml." in said
        return
    (clone.folder / "config/studies/tiny.yaml").write_text(study)
    assert main(["import", str(published)]) == 0


def test_verdicts_are_published_only_where_there_are_any(published):
    there = (published / "verdicts.csv").exists()
    assert there == ("`verdicts.csv`" in (published / "README.md").read_text())
    assert not there  # the tiny study names no published numbers


def test_it_is_imported_and_an_altered_one_is_refused(published, make_workspace, tmp_path, monkeypatch, capsys):
    clone = make_workspace(tmp_path / "clone", "tiny", (published / "study.yaml").read_text())
    monkeypatch.chdir(clone.folder)
    assert main(["import", str(published)]) == 0
    assert "stands for 2 of 2 cells" in capsys.readouterr().out

    copy = tmp_path / "altered"
    for path in published.rglob("*"):
        if path.is_file():
            (copy / path.relative_to(published)).parent.mkdir(parents=True, exist_ok=True)
            (copy / path.relative_to(published)).write_bytes(path.read_bytes())
    (copy / "cells.csv").write_text("cell\n")
    assert main(["import", str(copy)]) == 1
    assert f"{copy / 'cells.csv'}: is altered" in capsys.readouterr().err
    (copy / "SHA256SUMS").write_text("0  ../tiny/cells.csv\n")
    assert main(["import", str(copy)]) == 1
    assert "which is not in this folder" in capsys.readouterr().err
