"""After an edit of code, Snakemake and DVC name the same stages: those with a job of which the code was edited."""

import re

import pytest
from clones import call, changed, clone

pytestmark = pytest.mark.clone
STAGES = {  # by the first word of a job's message
    "Preparing": "datasets",
    "Labelling": "labelled",
    "Training": "checkpoints@{}",
    "Measuring": "checkpoints@{}",
    "Simulating": "simulations@{}",
}
CHECKPOINTS, EVIDENCE, SIMULATION = {"checkpoints@tiny"}, {"evidence@tiny"}, {"simulations@small"}
EDITS = {
    "src/gengap/engine/hessian/lanczos.py": CHECKPOINTS,
    "src/gengap/engine/hessian/layer_jacobians.py": set(),  # of a probe that no study here has
    "src/gengap/engine/cpu/kernels/evaluation.cpp": set(),  # what all probes share has its version
    "src/gengap/probes/results.py": set(),
    "src/gengap/probes/averages.py": CHECKPOINTS,
    "src/gengap/probes/performance.py": CHECKPOINTS | {"evidence@tiny"},
    "src/gengap/probes/margin.py": set(),
    "src/gengap/training/loop.py": set(),
    "src/gengap/models/song.py": set(),
    "src/gengap/files/storage.py": set(),
    "src/gengap/datasets/gaussian.py": {"datasets"},
    "src/gengap/labels/statistics.py": {"labelled"},
    "src/gengap/simulations/random_matrix.py": SIMULATION,
    "src/gengap/evidence/figures/learning_curves.py": EVIDENCE,
    "src/gengap/evidence/figures/gengap.mplstyle": EVIDENCE,
    "src/gengap/evidence/intervals.py": EVIDENCE | SIMULATION,
    "src/gengap/quantities.csv": EVIDENCE | SIMULATION,
    "workflow/scripts/train.py": CHECKPOINTS,
    "workflow/scripts/metrics.py": EVIDENCE | SIMULATION,
}
COMMENTS = {".cpp": "// edited\n", ".csv": "\n"}


@pytest.fixture(scope="module")
def project(original, tmp_path_factory):
    """A clone whose edits are taken back."""
    folder = clone(original, tmp_path_factory.mktemp("agreement") / "clone")
    call(folder, "dvc", "remote", "modify", "--local", "local", "url", str(original.parent / "gengap-remote"))
    call(folder, "make", "pull")
    return folder


# It declares quantities, so evidence depends on its code and on its measurements. Of two reasons, Snakemake names
# the other: that the measurements are made again.
NOT_NAMED = {"src/gengap/probes/performance.py": {"evidence@tiny"}}


def stage(message):
    """The stage of the job with this message."""
    verb, *_, study = message.split(" ")
    pattern = STAGES.get(verb, "simulations@{}" if study == "small" else "evidence@{}")
    return pattern.format(study)


def of_snakemake(folder):
    """The stages of the jobs that Snakemake would run for a reason of their own, not because another job runs."""
    output = call(folder, "snakemake", "--dry-run", "--verbose")  # which does not shorten the reasons
    jobs = re.findall(r"^Job \d+: (.*)\nReason: (.*)$", output, flags=re.MULTILINE)
    assert bool(jobs) != ("Nothing to be done" in output), output
    follows = "Input files updated by another job"
    own = [message for message, why in jobs if not all(part.startswith(follows) for part in why.split("; "))]
    assert bool(own) == bool(jobs)
    return {stage(message) for message in own}


def of_dvc(folder):
    """The stages that DVC would run by themselves, once it has asked what the jobs are made of."""
    call(folder, "dvc", "repro", "jobs")
    return changed(folder)


@pytest.mark.parametrize("path", EDITS)
def test_both_name_the_stages_of_an_edit(project, path):
    file = project / path
    with file.open("a") as code:
        code.write(COMMENTS.get(file.suffix, "# edited\n"))
    try:
        assert of_snakemake(project) == EDITS[path] - NOT_NAMED.get(path, set())
        assert of_dvc(project) == EDITS[path]
    finally:
        call(project, "git", "checkout", "--quiet", ".")
        call(project, "dvc", "checkout", "data/jobs")


def test_an_edit_of_a_method_repeats_its_own_measurements_alone(project):
    with (project / "src/gengap/engine/hessian/lanczos.py").open("a") as code:
        code.write("# edited\n")
    try:
        output = call(project, "snakemake", "--dry-run")
        measured = set(re.findall(r"^Job \d+: (Measuring \w+|Training)", output, flags=re.MULTILINE))
        assert measured == {"Measuring hessian_extremes"}
    finally:
        call(project, "git", "checkout", "--quiet", ".")
