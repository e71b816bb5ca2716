"""What jobs find in their environment: memory in pages of 2 MiB, and threads that do not wait for long at full speed.

Every step of wide networks takes tensors of tens of MB that the system must first hand over, page by page: in pages of
4 KiB, packs of five networks of 3.3 million weights spend a third of a step on that (docs/benchmarks.md). glibc asks
for large pages where it is told to before a process starts; other C libraries do not read the variable.

A thread of OpenMP that waits for others runs in a circle for some milliseconds before it sleeps. Where anything else
runs on the machine, the others wait for its core meanwhile: a step on two threads took two to three times as long. So
few rounds that a step on an idle machine takes no longer are enough.
"""

import os

PAGES, PAGE_SETTING = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"
ROUNDS, FEW = "GOMP_SPINCOUNT", "20000"  # of waiting, about 0.3 ms
WAITING = "OMP_WAIT_POLICY"


def install() -> None:
    """Set what this process's jobs find, but for what the user has said something about."""
    given = os.environ.get(PAGES, "")
    if PAGE_SETTING not in given:
        os.environ[PAGES] = ":".join(filter(None, [given, f"{PAGE_SETTING}=1"]))
    if WAITING not in os.environ:
        os.environ.setdefault(ROUNDS, FEW)
