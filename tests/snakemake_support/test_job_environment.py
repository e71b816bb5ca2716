"""Jobs ask for large pages and wait for few rounds, and what a user says of either stays."""

import subprocess
import sys

import pytest

from gengap.snakemake_support import job_environment

NAMES = ("GLIBC_TUNABLES", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
PAGES = "glibc.malloc.hugetlb=1"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, [PAGES, None, "20000"]),
        ({"GLIBC_TUNABLES": ""}, [PAGES, None, "20000"]),
        ({"GLIBC_TUNABLES": "glibc.malloc.check=3"}, [f"glibc.malloc.check=3:{PAGES}", None, "20000"]),
        ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}, ["glibc.malloc.hugetlb=0", None, "20000"]),
        ({"GOMP_SPINCOUNT": "7"}, [PAGES, None, "7"]),
        ({"OMP_WAIT_POLICY": "active"}, [PAGES, "active", None]),
    ],
)
def test_what_a_job_finds_in_its_environment(given, found, monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that what `install` sets is undone
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    job_environment.install()
    command = [sys.executable, "-c", f"import os; print([os.environ.get(name) for name in {NAMES}])"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == str(found)
