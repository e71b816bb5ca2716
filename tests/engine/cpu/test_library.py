"""How the kernels are compiled, kept and loaded, and what happens where that cannot be done."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import build_results
import pytest
import torch
from forked import CONTEXT

from gengap.engine.cpu import library, operators
from gengap.errors import UserError
from gengap.files import user_cache

needs_kernels = pytest.mark.skipif(not operators.available(), reason="no C++ compiler")
REPOSITORY = Path(__file__).resolve().parents[3]
UNOPTIMISED = "-O0"  # for libraries that are thrown away
# Loads the kernels, and says on stdout whether they run, and what was logged.
PROGRAM = """
import logging, sys
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
import torch
from gengap.engine.cpu import operators
print("available", operators.available())
if operators.available():
    y = operators.conv2d(torch.ones(16, 2, 3, 3), torch.ones(4, 2, 3, 3), None, 1, 1, 1)
    print("center", y[0, 0, 1, 1].item())
"""


def start(*before, **options):
    """A new process that runs `PROGRAM`, after other words of the command; `env` is added to a bare environment."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"}
    env |= {"GENGAP_KERNELS_FLAGS": UNOPTIMISED, **options.pop("env")}
    return subprocess.Popen(
        [*before, sys.executable, "-c", PROGRAM],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def output(process):
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    return said


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_cache_folder_is_private(home, monkeypatch):
    assert user_cache.folder() == home / ".cache/gengap"
    assert stat.S_IMODE((home / ".cache/gengap").stat().st_mode) == 0o700
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "elsewhere"))
    assert user_cache.folder() == home / "elsewhere/gengap"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the specification leaves out
    assert user_cache.folder() == home / ".cache/gengap"


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_cache_folder_that_others_can_write_is_refused(home, mode):
    user_cache.folder().chmod(mode)
    with pytest.raises(UserError, match=r"others can write it. Run `chmod 700"):
        user_cache.folder()


def test_a_cache_folder_of_another_user_is_refused(home):
    if os.geteuid() != 0:
        pytest.skip("giving a folder to another user needs root")
    os.chown(user_cache.folder(), 12345, 12345)
    with pytest.raises(UserError, match="belongs to another user"):
        user_cache.folder()


def test_a_file_in_the_place_of_the_cache_folder(home):
    (home / ".cache").mkdir()
    (home / ".cache/gengap").touch()
    with pytest.raises(UserError, match=r"gengap: cannot be made .File exists."):
        user_cache.folder()
    (home / ".cache/gengap").unlink()
    (home / ".cache").rmdir()
    (home / ".cache").touch()
    with pytest.raises(UserError, match=r"gengap: cannot be made .Not a directory."):
        user_cache.folder()


def test_no_home(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "")
    with pytest.raises(UserError, match=r"no home folder. Set HOME or XDG_CACHE_HOME"):
        user_cache.folder()


def test_without_a_compiler_pytorch_runs(monkeypatch, caplog):
    monkeypatch.setenv("PATH", "")
    assert not library.load.__wrapped__()
    (record,) = caplog.records
    assert "no C++ compiler was found, so small networks run on PyTorch's operators" in record.message


def test_a_compiler_that_fails_is_named(monkeypatch, tmp_path, caplog):
    wrong = tmp_path / "g++"
    wrong.write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
    wrong.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert not library.load.__wrapped__()
    (record,) = caplog.records
    assert "no such luck" in record.message


@needs_kernels
def test_an_unknown_build_is_refused(monkeypatch):
    monkeypatch.setenv("GENGAP_KERNELS", "generik")
    with pytest.raises(
        UserError, match=r"GENGAP_KERNELS: unknown build of the kernels 'generik'. Did you mean 'generic'"
    ):
        library.load.__wrapped__()


@needs_kernels
def test_a_build_that_the_processor_cannot_run_is_refused(monkeypatch):
    monkeypatch.setenv("GENGAP_KERNELS", "avx512")
    monkeypatch.setattr(library, "builds", lambda: ["native", "avx2", "generic"])
    with pytest.raises(UserError, match=r"this processor cannot run 'avx512'. Choose from: native, avx2, generic"):
        library.load.__wrapped__()


def script(path, text):
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def thrifty_compiler():
    """A g++ that compiles every source once: the flags are the same in all tests that take it."""
    if shutil.which("g++") is None:
        pytest.skip("the compiler is another")
    with tempfile.TemporaryDirectory(prefix="thrifty-") as folder:  # which every user can enter
        Path(folder).chmod(0o777)
        real, kept = shutil.which("g++"), f'"{folder}/$(basename "$made")"'
        compiling = f'{real} "$@" && cp "$made" {kept}.$$ && mv {kept}.$$ {kept}'
        known = f'if [ -e {kept} ]; then cp {kept} "$made"; else {compiling}; fi'
        cases = f'*" -c "*) {known};; *) exec {real} "$@";;'
        yield script(Path(folder) / "bin/g++", f'for made; do :; done\ncase "$*" in {cases} esac')


def compiler_that_waits_for_two(folder, compiler):
    """A folder with a g++ that begins with PyTorch's part once two processes have called it."""
    (folder / "called").mkdir()
    wait = f'touch "{folder}/called/$PPID"; while [ $(ls "{folder}/called" | wc -l) -lt 2 ]; do sleep 0.05; done'
    text = f'case "$*" in *operators.cpp*) {wait};; esac\nexec "{compiler}" "$@"'
    return script(folder / "bin/g++", text).parent


@pytest.mark.thorough
@needs_kernels
def test_a_user_without_name_and_home(tmp_path, thrifty_compiler):
    """As in a container that runs under a number."""
    tmp_path.chmod(0o777)
    path = f"{thrifty_compiler.parent}:{os.environ['PATH']}"
    env = {"TMPDIR": str(tmp_path), "HOME": "/nonexistent", "PATH": path}
    before: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("changing the user needs setpriv")
        # Reads everything, since Python may lie in a folder of root's.
        caps = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
        before = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", *caps]
        del env["HOME"]
    said = output(start(*before, env=env, cwd="/"))
    assert "center 18.0" in said
    assert said.count("every process compiles the kernels for itself") == 1
    assert list(tmp_path.iterdir()) == []  # nothing is left over


@pytest.mark.thorough
@needs_kernels
def test_two_processes_replace_a_damaged_library_at_once(tmp_path, monkeypatch, thrifty_compiler):
    """Each begins to compile before the other has done so."""
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "GENGAP_KERNELS_FLAGS": UNOPTIMISED}
    env |= {"PATH": f"{compiler_that_waits_for_two(tmp_path, thrifty_compiler)}:{os.environ['PATH']}"}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(library, "_load_from", lambda path, *_: path.write_bytes(b"damaged"))
    library.load.__wrapped__()
    (kept,) = (tmp_path / "cache/gengap").iterdir()
    for said in [output(process) for process in [start(env=env) for _ in range(2)]]:
        assert said.count("center 18.0") == said.count("is damaged and is compiled again") == 1
    assert list((tmp_path / "cache/gengap").iterdir()) == [kept]  # and no folder of a build
    said = output(start(env=env))
    assert "center 18.0" in said
    assert "compil" not in said


@pytest.mark.thorough
@needs_kernels
def test_a_cache_folder_mounted_noexec(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "noexec,mode=700", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        # The library that this very test uses, so that nothing is compiled.
        shutil.copytree(user_cache.folder(), tmp_path / "gengap")
        (tmp_path / "gengap").chmod(0o700)
        said = output(start(env={"XDG_CACHE_HOME": str(tmp_path), "GENGAP_KERNELS_FLAGS": ""}))
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
    assert "available False" in said
    (line,) = [line for line in said.splitlines() if "PyTorch's operators" in line]
    assert line.endswith(f"{tmp_path}/gengap is mounted noexec; set XDG_CACHE_HOME to another folder")


def results_of(build, path):
    """What build_results.py computes with a build, which it writes to a file."""
    process = CONTEXT.Process(target=build_results.write, args=(build, path))
    process.start()
    process.join()
    assert process.exitcode == 0
    return torch.load(path, weights_only=True)


@pytest.mark.thorough
@needs_kernels
def test_builds_agree(tmp_path):
    """The same results as the build for this processor, up to rounding, in training, evaluation and statistics."""
    expected = results_of("native", tmp_path / "native.pt")
    for build in set(library.builds()) - {"native"}:
        found = results_of(build, tmp_path / f"{build}.pt")
        for name, value in expected.items():
            bound = 2e-5 * value.abs().max().item()
            torch.testing.assert_close(found[name], value, rtol=2e-5, atol=bound, msg=f"{build}: {name}")
        if build != "avx512":  # sums in another order: another build did run
            assert any(not torch.equal(found[name], value) for name, value in expected.items())
