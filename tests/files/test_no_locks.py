"""A file system without locks (NFS without `lockd`, Lustre without `-o flock`): everything works, unlocked."""

import subprocess
import sys

import pytest

SHIM = """
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
int flock(int file, int how) { errno = ENOLCK; return -1; }
static int locks(int command) { return command == F_SETLK || command == F_SETLKW; }
static int (*real(void))(int, int, ...);
#include <dlfcn.h>
static int (*real(void))(int, int, ...) { return (int (*)(int, int, ...)) dlsym(RTLD_NEXT, "fcntl64"); }
#define SHIMMED(name) int name(int file, int command, ...) { \\
    va_list rest; va_start(rest, command); void *argument = va_arg(rest, void *); va_end(rest); \\
    if (locks(command)) { errno = ENOLCK; return -1; } \\
    return real()(file, command, argument); }
SHIMMED(fcntl)
SHIMMED(fcntl64)
"""
CHECKED = """
import errno, fcntl
with open("locked", "w") as file:
    for lock in (fcntl.flock, fcntl.lockf):
        try:
            lock(file, fcntl.LOCK_EX)
        except OSError as error:
            assert error.errno == errno.ENOLCK
        else:
            raise SystemExit("the shim does nothing")
"""
WORKS = {
    "files": """
from gengap.files import storage
for number in (1, 2):
    with storage.writing("a.h5", "probe", {}) as file:
        file["x"] = number
with storage.reading("a.h5", "probe") as one, storage.reading("a.h5", "probe") as two:
    assert one["x"][()] == two["x"][()] == 2
""",
    "an open reader": """
from gengap.files import storage
with storage.writing("a.h5", "probe", {}) as file:
    file["x"] = 1
with storage.reading("a.h5", "probe") as old:
    with storage.writing("a.h5", "probe", {}) as file:
        file["x"] = 2
    assert old["x"][()] == 1
""",
    "locks": """
from pathlib import Path
from gengap.files.cell_locks import locked
with locked(Path("locks"), ["a", "b"]) as mine:
    assert mine == ["a", "b"]
""",
    "the run's lock": """
from pathlib import Path
from gengap.snakemake_support import run_lock
Path(".snakemake/locks").mkdir(parents=True)
Path(".snakemake/locks/0.input.lock").touch()
assert not run_lock.start()
with run_lock.alone() as alone, run_lock.alive():
    assert alone
""",
    "downloads": """
from pathlib import Path
from gengap.datasets import fetching
with fetching.download_folder(Path("root"), "mnist", ["a"], "Get it.") as folder:
    assert folder.is_dir()
""",
}


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text("#define _GNU_SOURCE\n" + SHIM)
    command = ["gcc", "-shared", "-fPIC", "-o", "shim.so", "shim.c", "-ldl"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "shim.so"


@pytest.mark.parametrize(
    "work", [*list(WORKS)[:2], *(pytest.param(work, marks=pytest.mark.thorough) for work in list(WORKS)[2:])]
)
def test_it_works_without_locks(shim, tmp_path, work):
    program = f"import os\nos.environ['LD_PRELOAD'] = ''\n{CHECKED}{WORKS[work]}"
    # As clusters set it: HDF5 would lock whatever `h5py.File` asks for.
    command = ["env", f"LD_PRELOAD={shim}", "HDF5_USE_FILE_LOCKING=TRUE", sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
