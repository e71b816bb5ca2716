"""What the section `reduced` of a study or a simulation may say."""

import pytest

from gengap.errors import UserError
from gengap.studies.project import load_project


def test_a_reduced_study_may_inherit_snapshots_that_it_does_not_reach(edited, loaded):
    text = edited(("epochs: 2, snapshots: [0, 1]", "epochs: 20, snapshots: [0, 1, 10]"))
    assert "study-reduced" in loaded(text + "reduced: {base: {training.epochs: 1}}\n").studies


@pytest.mark.parametrize(
    "reduced",
    [
        "{base: {training: {snapshots: [0, 3]}}}",
        "{base: {training.snapshots: [0, 3]}}",
        "{grid: {training.snapshots: [[0, 1], [0, 3]], seed: 0..1}}",
        "{grid: {arm: {a: {training.snapshots: [0, 3]}, b: {training.epochs: 1}}}}",
    ],
)
def test_but_its_own_come(edited, refused, reduced):
    said = refused(edited() + f"reduced: {reduced}\n")
    assert "study.yaml: reduced: training.snapshots: 3 is beyond training.epochs, 2, so no weights are kept" in said


@pytest.mark.parametrize(
    "reduced",
    [
        "{}",
        "{base: {}}",
        "{base: {training.epochs: 2}}",
        "{grid: {optimizer.lr: [0.1]}}",
        "{title: Tiny, probes: [performance]}",
        "{title: Another}",
        "{question: why, pack_size: 3, full_on: gpu}",
        "{choices: [one], base: {training.epochs: 2}}",
    ],
)
def test_it_changes_something(edited, refused, reduced):
    said = refused(edited() + f"reduced: {reduced}\n")
    assert "study.yaml: reduced: changes nothing. Write what differs from the full settings, or remove it." in said


def test_so_it_is_of_a_simulation(project, edited):
    (project / "config/studies/study.yaml").write_text(edited())
    text = "title: t\nbase: {simulation: random_matrix, rows: 4, columns: 4}\nreduced: {base: {rows: 4}}\n"
    (project / "config/simulations/draws.yaml").write_text(text)
    with pytest.raises(UserError, match=r"draws\.yaml: reduced: changes nothing"):
        load_project()
