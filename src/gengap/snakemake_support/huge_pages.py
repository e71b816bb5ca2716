"""Memory of jobs in pages of 2 MiB.

Every step of wide networks takes tensors of tens of MB that the system must first hand over, page by page: in pages of
4 KiB, packs of five networks of 3.3 million weights spend a third of a step on that (docs/benchmarks.md). glibc asks
for large pages where it is told to before a process starts; other C libraries do not read the variable.
"""

import os

VARIABLE, SETTING = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"


def install() -> None:
    """Let what this process starts ask for large pages, unless the user has said something about them."""
    given = os.environ.get(VARIABLE, "")
    if SETTING not in given:
        os.environ[VARIABLE] = ":".join(filter(None, [given, f"{SETTING}=1"]))
