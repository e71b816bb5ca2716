"""Jobs ask for large pages, and what a user says of glibc stays."""

import subprocess
import sys

import pytest

from gengap.snakemake_support import huge_pages


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, "glibc.malloc.hugetlb=1"),
        ("", "glibc.malloc.hugetlb=1"),
        ("glibc.malloc.check=3", "glibc.malloc.check=3:glibc.malloc.hugetlb=1"),
        ("glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0"),
    ],
)
def test_what_a_job_finds_in_its_environment(given, found, monkeypatch):
    monkeypatch.setenv(huge_pages.VARIABLE, given or "")
    if given is None:
        monkeypatch.delenv(huge_pages.VARIABLE)
    huge_pages.install()
    command = [sys.executable, "-c", f"import os; print(os.environ['{huge_pages.VARIABLE}'])"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == found
