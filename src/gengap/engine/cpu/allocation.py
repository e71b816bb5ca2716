"""How the C library hands out memory: what a training step frees, the next one takes again."""

import ctypes
import functools
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
KEPT = 2**28  # bytes that a process keeps when they are free
_FROM_SYSTEM = 2**25  # an allocation from so many bytes on is the system's, glibc's greatest value


@functools.cache
def keep_freed() -> None:
    """Tell glibc to keep freed memory, up to 256 MiB, where neither the user nor another library chose.

    By default it gives the maps of a step back to the system at its end and takes them again in the next step: pages
    that the system clears first, a third of the time of a step of 64 small networks.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT)
        mallopt(_MMAP_THRESHOLD, _FROM_SYSTEM)
