"""`dvc repro` that is interrupted while a pack trains: the next one goes on, and nothing half done is kept."""

import os
import signal

import pytest
from clones import STUDY, changed, planned, ran, variables
from interrupted import ended, prepare, training

pytestmark = pytest.mark.clone


@pytest.mark.parametrize(
    ("number", "says"),
    [(signal.SIGINT, "going on from epoch "), (signal.SIGKILL, "Removed the lock of a run that was killed")],
)
def test_the_next_repro_goes_on(cloned, number, says):
    prepare(cloned, STUDY)
    before = (cloned / "dvc.lock").read_text()
    with training(cloned, ["dvc", "repro"], variables(cloned)) as process:
        os.killpg(process.pid, number)
    ended(cloned, process)
    now = (cloned / "dvc.lock").read_text()
    assert now.split("checkpoints@tiny")[1] == before.split("checkpoints@tiny")[1], "an unfinished stage was kept"
    assert {"checkpoints@tiny", "evidence@tiny"} <= changed(cloned)
    said, done = ran(cloned, "dvc", "repro")
    assert says in said
    assert "Training width=3_pack=0 of tiny" in done
    assert changed(cloned) == planned(cloned) == set()
