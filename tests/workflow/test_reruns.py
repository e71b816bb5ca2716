"""What runs again after a change: asked of Snakemake itself."""

import os
import random

import pytest

pytestmark = pytest.mark.long
EVIDENCE = {
    "Collecting tiny",
    "Drawing accuracy_by_width of tiny",
    "Writing table final_performance of tiny",
    "Judging tiny",
    "Summing up tiny",
}
STUDY = "config/studies/tiny.yaml"


def test_nothing_is_left_to_do_after_a_run(finished_workspace):
    assert finished_workspace.planned() == set()


def test_times_of_files_do_not_matter(workspace):
    """As after a clone: every file gets another time, in any order."""
    dice = random.Random(0)
    for path in sorted(workspace.folder.rglob("*")):
        if path.is_file() and ".snakemake" not in path.parts:
            time = 1_700_000_000 + dice.randrange(10_000_000)
            os.utime(path, (time, time))
    assert workspace.planned() == set()


def test_another_lr_reruns_its_own_pack_only(workspace):
    workspace.edit(STUDY, "model.width: [3], optimizer.lr: [0.1]", "model.width: [3], optimizer.lr: [0.2]")
    assert workspace.planned() == EVIDENCE | {
        "Training width=3_pack=0 of tiny",
        "Measuring performance on width=3_pack=0 of tiny",
    }


def test_another_seed_trains_the_new_cell_only(workspace):
    workspace.edit(STUDY, "model.width: [3], optimizer.lr: [0.1], seed: [0]", "model.width: [3], seed: [0, 1]")
    weights = "results/tiny/packs/width=3_pack=0/weights.h5"
    assert workspace.planned(weights) == {"Training width=3_pack=0 of tiny"}
    status, output = workspace.run(weights)
    assert status == 0, output
    assert "1 of 2 cells are to be trained" in output


@pytest.mark.thorough
def test_edited_figure_redraws_itself_only(workspace):
    workspace.edit(STUDY, "figures: [accuracy_by_width]", "figures: [accuracy_by_width, learning_curves]")
    assert workspace.planned() == {"Drawing learning_curves of tiny"}
    status, output = workspace.run()
    assert status == 0, output
    with (workspace / "src/gengap/evidence/figures/learning_curves.py").open("a") as module:
        module.write("# edited\n")
    assert workspace.planned() == {"Drawing learning_curves of tiny"}


def test_edited_style_redraws_all_figures(workspace):
    with (workspace / "src/gengap/evidence/figures/gengap.mplstyle").open("a") as style:
        style.write("# edited\n")
    assert workspace.planned() == {"Drawing accuracy_by_width of tiny"}


def test_edited_table_rewrites_itself_only(workspace):
    with (workspace / "src/gengap/evidence/tables/final_performance.py").open("a") as module:
        module.write("# edited\n")
    assert workspace.planned() == {"Writing table final_performance of tiny"}


def test_added_probe_trains_nothing(workspace):
    workspace.edit(STUDY, "probes: [performance]", "probes: [performance, distance]")
    assert workspace.planned() == EVIDENCE | {
        "Measuring distance on width=2_pack=0 of tiny",
        "Measuring distance on width=3_pack=0 of tiny",
    }


def test_edited_probe_measures_again_and_trains_nothing(workspace):
    with (workspace / "src/gengap/probes/performance.py").open("a") as module:
        module.write("# edited\n")
    assert workspace.planned() == EVIDENCE | {
        "Measuring performance on width=2_pack=0 of tiny",
        "Measuring performance on width=3_pack=0 of tiny",
    }


@pytest.mark.thorough
def test_an_edited_dataset_trains_nothing_where_its_images_stay_the_same(workspace):
    """Snakemake plans to train, since it cannot know the images before they are made; then the networks are found."""
    with (workspace / "src/gengap/datasets/gaussian.py").open("a") as module:
        module.write("# edited\n")
    weights = [f"results/tiny/packs/width={width}_pack=0/weights.h5" for width in (2, 3)]
    assert {"Preparing", "Labelling", "Training"} == {job.split()[0] for job in workspace.planned(*weights)}
    status, output = workspace.run(*weights)
    assert status == 0, output
    assert output.count("0 of 1 cells are to be trained, 1 were found finished") == 2
    assert workspace.planned(*weights) == set()


def test_an_edited_method_measures_what_uses_it_again(workspace):
    """The tiny study's one probe uses no numerical method; training does, and never runs again for an edit."""
    for name in ("engine/hessian/lanczos.py", "engine/stack.py", "training/loop.py", "probes/results.py"):
        with (workspace / "src/gengap" / name).open("a") as module:
            module.write("# edited\n")
    assert workspace.planned() == set()


def test_another_title_trains_and_measures_nothing(workspace):
    workspace.edit(STUDY, "title: Tiny", "title: Small")
    assert workspace.planned() == EVIDENCE


def test_raised_results_version_trains_again(workspace):
    workspace.edit("src/gengap/versions.py", "TRAINING = ", "TRAINING = 1")
    assert {job for job in workspace.planned() if job.startswith("Training")} == {
        "Training width=2_pack=0 of tiny",
        "Training width=3_pack=0 of tiny",
    }


def test_device_and_data_root_are_no_settings_of_a_result(workspace):
    workspace.edit("config/config.yaml", "device: auto", "device: cpu")
    workspace.edit("config/config.yaml", "data_root: data/raw", "data_root: elsewhere")
    assert workspace.planned() == set()


def test_another_study_reuses_the_data(workspace):
    text = (workspace / STUDY).read_text()
    (workspace / "config/studies/other.yaml").write_text(text)
    planned = workspace.planned("other")
    assert "Training width=2_pack=0 of other" in planned
    assert not any(job.startswith(("Preparing", "Labelling")) for job in planned)
