"""A clone into which results were pulled knows that it is up to date, and runs exactly what an edit touches."""

import json
import os
import pwd
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from clones import STUDY, call, changed, clone, commit, edit, planned, ran

EVIDENCE = {
    "Collecting tiny",
    "Drawing accuracy_by_width of tiny",
    "Drawing learning_curves of tiny",
    "Writing table final_performance of tiny",
    "Judging tiny",
    "Summing up tiny",
}
PROBES = ("performance", "layer_reset", "hessian_extremes")
LR = ("{model.width: [3], optimizer.lr: [0.1]", "{model.width: [3], optimizer.lr: [0.2]")
pytestmark = pytest.mark.clone


def test_a_clone_is_up_to_date_for_snakemake_and_for_dvc(cloned):
    assert planned(cloned) == set()
    assert changed(cloned) == set()
    assert "Running stage" not in call(cloned, "dvc", "repro")
    assert call(cloned, "git", "status", "--porcelain", "--untracked-files=no") == ""


def test_beside_the_original_the_remote_needs_no_name(original):
    folder = clone(original, original.parent / "clone")
    call(folder, "make", "pull")
    assert planned(folder) == set()
    shutil.rmtree(folder)


def test_times_of_files_do_not_matter(cloned):
    dice = random.Random(0)
    paths = [path for path in sorted(cloned.rglob("*")) if ".git" not in path.parts and ".venv" not in path.parts]
    for path in paths:
        time = 1_700_000_000 + dice.randrange(10_000_000)
        os.utime(path, (time, time))
    assert planned(cloned) == set()
    assert changed(cloned) == set()


def test_an_edited_lr_concerns_its_own_pack_and_no_data(cloned):
    edit(cloned, STUDY, *LR)
    assert planned(cloned) == EVIDENCE | {
        "Training width=3_pack=0 of tiny",
        *(f"Measuring {probe} on width=3_pack=0 of tiny" for probe in PROBES),
    }
    # `jobs` looks through the studies for what their jobs are made of, and the stages of data are not run.
    assert changed(cloned) == {"jobs", "checkpoints@tiny", "evidence@tiny"}
    said, done = ran(cloned, "dvc", "repro")
    for stage in ("datasets", "labelled"):
        assert f"Stage '{stage}' didn't change, skipping" in said
    assert "Training width=3_pack=0 of tiny" in done
    assert "Training width=2_pack=0 of tiny" not in done
    assert changed(cloned) == set()
    assert "grid" in call(cloned, "dvc", "params", "diff")
    difference = json.loads(call(cloned, "dvc", "metrics", "diff", "--json"))
    assert {"mean.train_loss", "mean.test_loss"} <= set(difference["metrics/tiny.json"])
    assert call(cloned, "make", "push").strip().endswith("&& git push")

    # Back to what was committed: everything of then is there again, without a job.
    call(cloned, "git", "checkout", "--quiet", ".")
    call(cloned, "dvc", "checkout")
    assert planned(cloned) == set()
    assert changed(cloned) == set()


def test_an_edited_figure_is_redrawn_alone(cloned):
    with (cloned / "src/gengap/evidence/figures/learning_curves.py").open("a") as module:
        module.write("# edited\n")
    assert planned(cloned) == {"Drawing learning_curves of tiny"}
    # An edit of any code has DVC look at what the jobs are made of, which takes a second.
    assert changed(cloned) == {"jobs"}
    call(cloned, "dvc", "repro", "jobs")
    assert changed(cloned) == {"evidence@tiny"}
    assert ran(cloned, "dvc", "repro")[1] == {"Drawing learning_curves of tiny"}


def test_an_experiment_changes_a_setting_by_its_name(cloned):
    _, done = ran(cloned, "dvc", "exp", "run", "-S", f"{STUDY}:base.training.epochs=2", "-n", "longer")
    assert "Training width=2_pack=0 of tiny" in done
    assert not any(message.startswith("Preparing") for message in done)
    shown = json.loads(call(cloned, "dvc", "exp", "show", "--json"))
    assert "longer" in json.dumps(shown)
    assert planned(cloned) == set()


def test_metrics_and_plots_say_something(cloned):
    shown = json.loads(call(cloned, "dvc", "metrics", "show", "--json"))
    metrics = shown[""]["data"]["metrics/tiny.json"]["data"]
    assert metrics["cells"] == {"finished": 1, "diverged": 0, "stuck": 1, "dead": 0}  # one learns nothing
    assert 0 < metrics["best"]["test_error"] < 1
    plots = json.loads(call(cloned, "dvc", "plots", "show", "--json"))["data"]
    for path, columns in (("curves.csv", {"epoch", "mean", "group"}), ("final.csv", {"mean", "group"})):
        (plot,) = (found for name, found in plots.items() if name == f"results/tiny/plots/{path}")
        values = plot[0]["content"]["data"]["values"]
        assert columns <= set(values[0])
        assert {row["group"] for row in values} == {"width=2,lr=0.1"}  # the other is stuck


@pytest.fixture
def shared(original):
    """The project and its remote where every account can read them, which pytest's own folders do not allow."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        call(original, "git", "clone", "--quiet", "--bare", ".", str(folder / "project.git"))
        shutil.copytree(original.parent / "gengap-remote", folder / "gengap-remote")
        yield folder


def test_another_user_is_up_to_date_too(shared):
    """Another account, home and name: none of it may be part of a record."""
    user = pwd.getpwnam("nobody")
    home = shared / "home"
    home.mkdir()
    os.chown(home, user.pw_uid, user.pw_gid)
    become = as_user(user.pw_uid, user.pw_gid, shared / "lent")
    theirs = {"HOME": str(home), "USER": "nobody", "LOGNAME": "nobody", "XDG_CACHE_HOME": str(home / ".cache")}

    def say(text, folder=home / "clone"):
        return call(shared, *become, f"cd {folder} && {text}", **theirs, PYTHONPATH=f"{home}/clone/src")

    say("git config --global safe.directory '*'", home)
    say(f"git clone --quiet {shared}/project.git clone", home)
    say(f"dvc remote modify --local local url {shared}/gengap-remote")
    say("dvc pull")
    assert (home / "clone/results/tiny/measurements.h5").stat().st_uid == user.pw_uid
    assert "Nothing to be done" in say("snakemake --dry-run")
    assert "up to date" in say("dvc status")


def as_user(uid, gid, lent):
    """What to put before a shell command, so that another account runs it; skips where that cannot be."""
    drop = f"setpriv --reuid={uid} --regid={gid} --clear-groups "
    hidden = hidden_folder(Path(sys.base_prefix))
    if hidden is None:
        command = ["sh", "-c", f'exec {drop} sh -c "$0"']
    else:  # in a private view of the file system, the interpreter can be reached, and nothing else there
        python = shlex.quote(sys.base_prefix)
        prepare = (
            f"mkdir -p {lent} && mount --bind {python} {lent} && mount -t tmpfs -o mode=755 tmpfs {hidden} && "
            f"mkdir -p {python} && mount --bind {lent} {python}"
        )
        command = ["unshare", "--mount", "sh", "-c", f'{prepare} && exec {drop} sh -c "$0"']
    tried = subprocess.run([*command, f"{sys.executable} -c 'import dvc, snakemake'"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no other user can run this Python (that needs root and `setpriv`): {tried.stderr.strip()[-200:]}")
    return command


def hidden_folder(path):
    """The topmost folder above a path that other users cannot enter."""
    above = [path, *path.parents]
    return next((one for one in reversed(above) if not one.stat().st_mode & 0o001), None)


def test_without_a_lock_file_there_is_nothing_to_pull_and_it_says_so(original, tmp_path):
    folder = clone(original, tmp_path / "clone")
    call(folder, "git", "rm", "--quiet", "dvc.lock")
    commit(folder, "Forget")
    assert "`make repro`" in call(folder, "make", "pull", status=2)
