"""`gengap evidence`: tables and figures again from exports alone, and what differs from those that are kept."""

from pathlib import Path

import pandas as pd
import pytest

from gengap import layout
from gengap.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = layout.FINDINGS / "tiny"


@pytest.fixture
def kept(make_workspace, finished_workspace, tmp_path, monkeypatch):
    """A clone with an export in its findings, and the evidence that was written from it; the working folder."""
    clone = make_workspace(tmp_path / "clone", "tiny", (finished_workspace / "config/studies/tiny.yaml").read_text())
    monkeypatch.chdir(finished_workspace.folder)
    file = tmp_path / "tiny.h5"
    assert main(["export", "tiny", str(file)]) == 0
    monkeypatch.chdir(clone.folder)
    layout.EXPORTS.mkdir(parents=True)
    file.rename(layout.EXPORTS / "tiny.h5")
    assert main(["evidence", "--write"]) == 0
    return clone


def test_what_was_written_is_what_the_workflow_made_and_passes(kept, finished_workspace, capsys):
    assert {path.name for path in KEPT.iterdir()} == {
        "accuracy_by_width.csv",
        "accuracy_by_width.png",
        "final_performance.csv",
    }
    made = finished_workspace / "results/tiny"
    assert (KEPT / "accuracy_by_width.csv").read_text() == (made / "figures/accuracy_by_width.csv").read_text()
    assert (KEPT / "final_performance.csv").read_text() == (made / "tables/final_performance.csv").read_text()
    assert main(["evidence"]) == 0
    assert "tiny: 2 of 2 cells, 3 files" in capsys.readouterr().out


@pytest.mark.thorough
def test_a_changed_table_a_missing_one_and_one_that_nothing_gives_are_named(kept, capsys):
    table = KEPT / "final_performance.csv"
    pd.read_csv(table).assign(seeds=7).to_csv(table, index=False)
    (KEPT / "accuracy_by_width.csv").unlink()
    (KEPT / "other.csv").write_text("a\n1\n")
    assert main(["evidence"]) == 1
    told = capsys.readouterr().err
    assert "final_performance.csv: line 2, seeds: '7', and the export gives '1'" in told
    assert f"{KEPT / 'accuracy_by_width.csv'}: is missing" in told
    assert f"{KEPT / 'other.csv'}: the export does not give it" in told


@pytest.mark.thorough
def test_of_a_part_of_a_study_what_can_be_drawn_is(kept, capsys):
    kept.edit("config/studies/tiny.yaml", "seed: [0]}\nprobes", "seed: 0..4}\nprobes")
    assert main(["evidence"]) == 0
    assert "tiny: 2 of 6 cells" in capsys.readouterr().out


def test_settings_that_changed_altogether_are_refused(kept, capsys):
    kept.edit("config/studies/tiny.yaml", "batch_size: 20", "batch_size: 30")
    assert main(["evidence"]) == 1
    assert "holds nothing of 'tiny' as config/studies has it now" in capsys.readouterr().err


@pytest.mark.thorough
def test_an_export_of_this_repository_gives_the_tables_kept_beside_it(monkeypatch, capsys):
    """The one of the fewest networks; `make evidence-check` takes all."""
    monkeypatch.chdir(REPOSITORY)
    assert main(["evidence", "teacher_student"]) == 0, capsys.readouterr().err


def test_exports_of_this_repository_are_small():
    assert sum(path.stat().st_size for path in (REPOSITORY / layout.EXPORTS).glob("*.h5")) <= 20e6
