"""Pretend GPUs, leased by real processes."""

import logging
import multiprocessing
import os
from logging.handlers import QueueHandler

import pytest

from gengap.engine import device

CONTEXT = multiprocessing.get_context("forkserver")


def work(leases, visible, got, leave):
    log = logging.getLogger("gengap")
    log.setLevel(logging.INFO)
    says = QueueHandler(got)
    says.addFilter(lambda record: "waiting for it" in record.getMessage())
    log.addHandler(says)
    device.LEASES = leases
    os.environ["CUDA_VISIBLE_DEVICES"] = visible
    with device.leased(True):
        got.put(os.environ["CUDA_VISIBLE_DEVICES"])
        leave.wait()


@pytest.mark.thorough
def test_every_job_has_a_gpu_of_its_own_and_the_third_waits(tmp_path):
    got, leave = CONTEXT.Queue(), CONTEXT.Event()
    arguments = (tmp_path / "leases", "4, 7", got, leave)
    jobs = [CONTEXT.Process(target=work, args=arguments, daemon=True) for _ in range(3)]
    for job in jobs:
        job.start()
    first = [got.get() for _ in jobs]  # what two have, and that one waits
    assert sorted(one for one in first if isinstance(one, str)) == ["4", "7"]
    leave.set()
    assert got.get() in ("4", "7")
    for job in jobs:
        job.join()
        assert job.exitcode == 0


@pytest.mark.parametrize("slurm", [True, False])
def test_nothing_is_leased_unasked_or_inside_slurm(tmp_path, monkeypatch, slurm):
    monkeypatch.setattr(device, "LEASES", tmp_path / "leases")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    if slurm:
        monkeypatch.setenv("SLURM_JOB_ID", "1")
    with device.leased(slurm):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert not (tmp_path / "leases").exists()
