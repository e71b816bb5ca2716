"""What glibc is told of memory, and when it is left alone."""

import ctypes
import types

import pytest

from gengap.engine.cpu import allocation


@pytest.fixture
def told(monkeypatch):
    """What `mallopt` is called with, in a process without settings of malloc."""
    calls = []
    for name in ("MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    library = types.SimpleNamespace(mallopt=lambda *given: calls.append(given) or 1)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    return calls, library


def test_a_quarter_of_a_gibibyte_is_kept(told):
    allocation.keep_freed.__wrapped__()
    assert told[0] == [(-1, 2**28), (-3, 2**25)]


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_user_chose_stays(told, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    allocation.keep_freed.__wrapped__()
    assert told[0] == []


def test_other_libraries_have_no_such_function(told):
    del told[1].mallopt
    allocation.keep_freed.__wrapped__()
    assert told[0] == []


def test_glibc_takes_both_values():
    """It returns 0 for a value that it refuses."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        pytest.skip("this C library has no mallopt")
    assert mallopt(-1, 2**28) == mallopt(-3, 2**25) == 1
