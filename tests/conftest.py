"""A copy of the project with one tiny study, and real Snakemake run in it."""

import contextlib
import gc
import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import closed_port
import numpy as np
import pytest
import torch
import warm_python
from bounded import bounded
from filelock import FileLock
from tiny_study import STUDY

from gengap.datasets import cifar10
from gengap.datasets.raw import Raw

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """One thread, here and in what a test starts, however many cores the machine has: tiny tensors are fastest so."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("PYTEST_ADDOPTS", None)  # of this run, and not of those that a test starts
    torch.set_num_threads(1)
    # A shell's background job ignores interrupts, and so would all that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """One worker has all tests of a file, and all of tests/faults: what they share is made once.

    The option `--dist loadgroup` would say it by marks, but has no effect with pytest 9.2 (pytest-xdist, issue 1386).
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return str(Path(file).parent) if Path(file).parent.name == "faults" else file

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers, what takes long begins first: a file is sent to one where its first test stands."""
    items.sort(key=turn)


def pytest_collection_finish() -> None:
    """The garbage collector need not look through the libraries again and again, which took a tenth of the time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Some libraries complain at the end of what was not collected."""
    gc.unfreeze()


def turn(item: pytest.Item) -> int:
    """Long tests, last those that wait for the finished workspace; other runs of Snakemake; the rest."""
    fixtures = {"finished_workspace", "make_workspace"} & set(getattr(item, "fixturenames", ()))
    if any(item.iter_markers("long")):
        return int("finished_workspace" in fixtures)
    return 2 if fixtures else 3


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """What its fixtures make ends, or fails."""
    with bounded(f"setting up {item.name}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test ends, or fails."""
    with bounded(item.name):
        return (yield)


@pytest.fixture(autouse=True)
def torch_as_at_its_start() -> Iterator[None]:
    """What a test draws from PyTorch's own generator, and its threads, do not depend on the tests before it."""
    torch.default_generator.manual_seed(0)  # `torch.manual_seed` notes the stack for a GPU, a hundred times slower
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Workspace:
    """A working copy.

    Attributes:
        folder: Its top.
    """

    folder: Path

    def __truediv__(self, path: str) -> Path:
        return self.folder / path

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        """Exit status and all output of snakemake with these arguments, on one core unless they say otherwise."""
        environment = os.environ | {
            "PYTHONPATH": str(self / "src"),
            "GENGAP_DATA_ROOT": str(self / "data/raw"),
            "https_proxy": closed_port.ADDRESS,  # a test downloads nothing
            "http_proxy": closed_port.ADDRESS,
        }
        cores = [] if "--cores" in arguments else ["--cores", "1"]
        done = subprocess.run(
            [warm_python.interpreter(), "-m", "snakemake", *arguments, *cores],
            cwd=self.folder,
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def planned(self, *targets: str) -> set[str]:
        """The messages of all jobs that Snakemake would run."""
        status, output = self.run("--dry-run", *targets)
        assert status == 0, output
        jobs = set(re.findall(r"^Job \d+: (.*)$", output, flags=re.MULTILINE))
        assert bool(jobs) != ("Nothing to be done" in output), output
        return jobs

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text that must be there."""
        text = (self / path).read_text()
        assert old in text
        (self / path).write_text(text.replace(old, new))

    def results(self) -> dict[str, str]:
        """Digest of every finished file, logs left out."""
        files = [
            path
            for top in ("results", "data/prepared", "data/labelled")
            for path in (self / top).rglob("*")
            if path.is_file()
        ]
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if "logs" not in path.parts
        }

    def copy(self, to: Path) -> "Workspace":
        """The same with all its results and Snakemake's records, at another place."""
        shutil.copytree(self.folder, to, symlinks=True)
        return Workspace(to)


def _project(made: Workspace, study: str, text: str) -> None:
    """Copy the project, with one study in place of its own."""
    for name in ("Snakefile", "rules", "workflow", "profiles", "src", "config/config.yaml", "config/published"):
        source, target = REPOSITORY / name, made / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, target)
    made.edit("config/config.yaml", "studies: [quickstart]", f"studies: [{study}]")
    (made / "config/studies").mkdir()
    (made / f"config/studies/{study}.yaml").write_text(text)


@pytest.fixture(scope="session")
def make_workspace() -> Callable[[Path, str, str], Workspace]:
    """Makes a copy of the project in a folder, with the study of a name and a text; nothing was run in it."""

    def make(folder: Path, study: str, text: str) -> Workspace:
        made = Workspace(folder)
        _project(made, study, text)
        return made

    return make


@pytest.fixture(scope="session")
def folder_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all workers."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture(scope="session")
def decoded_once(folder_of_all: Path) -> Iterator[None]:
    """The 60,000 JPEG files of the real CIFAR-10 are decoded once for all workers."""
    decode, kept = cifar10.read_jpeg, folder_of_all / "cifar10.npz"

    def read(path: Path) -> Raw:
        if path.resolve().is_relative_to(folder_of_all.resolve()):
            return decode(path)  # an archive of a test's own
        with FileLock(folder_of_all / "cifar10.lock"):
            if not kept.exists():
                np.savez(folder_of_all / "half.npz", **vars(decode(path)))
                (folder_of_all / "half.npz").rename(kept)
        with np.load(kept) as arrays:
            found = dict(arrays)
        texts = {"classes": tuple(found["classes"]), "variant": str(found["variant"])}
        return Raw(**found | texts | {"full_scale": float(found["full_scale"])})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "read_jpeg", read)
        yield


@pytest.fixture(scope="session")
def finished_workspace(folder_of_all: Path) -> Workspace:
    """A copy in which the tiny study was run; made once for all workers. Never to be changed: take `workspace`."""
    made = Workspace(folder_of_all / "finished workspace")  # with a space, as in many a user's folder
    with FileLock(folder_of_all / "finished.lock"):
        if not (folder_of_all / "finished").exists():
            _project(made, "tiny", STUDY)
            status, output = made.run()
            assert status == 0, output
            (folder_of_all / "finished").touch()
    return made


@pytest.fixture
def workspace(finished_workspace: Workspace, tmp_path: Path) -> Workspace:
    """A copy with finished results, to be changed."""
    return finished_workspace.copy(tmp_path / "copy")


@pytest.fixture
def read_only() -> Callable[[Path], contextlib.AbstractContextManager[None]]:
    """Makes a folder read-only for a while, for the superuser too, who passes over permissions."""

    def mount(*arguments: str) -> bool:
        return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0

    @contextlib.contextmanager
    def protected(folder: Path) -> Iterator[None]:
        if not mount("--bind", str(folder), str(folder)):
            pytest.skip("mounting needs root")
        try:
            assert mount("-o", "remount,bind,ro", str(folder))
            yield
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)

    return protected
