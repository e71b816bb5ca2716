"""A tiny study, before and after each of its stages, and what is left of it when a call fails."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fault_injection
import h5py

REPOSITORY = Path(__file__).resolve().parents[2]
STAGES = ("prepare", "label", "train", "probe", "collect", "figure", "table", "verdicts", "metrics")
COMMANDS = ("check", "summary", "clean")
STUDY = """\
title: Tiny
base:
  dataset: {{name: gaussian, image_size: 8, n_train: 120, n_test: 60}}
  labels: {{name: teacher, train_size: 40, test_size: 20, minority_share: 0.2}}
  optimizer: {{lr: {rate}}}
  training: {{batch_size: 20, epochs: 1, snapshots: [0, 1]}}
grid: {{model.width: [2], seed: [0, 1]}}
probes: [performance]
figures: [accuracy_by_width]
tables: [final_performance]
"""
# What no result depends on: logs, times, locks, links to gengap.
_ASIDE = re.compile(r"(^|/)logs/|\.gengap/(installed/|(timings|predictions)\.jsonl$|store/locks$|running$)")
# A pack in training: any that can be read will do, and none.
# What grows while a job works: a pack that is saved, and what a probe has measured of a network so far.
_GROWING = re.compile("/store/(unfinished|measurements)/")
_HALF = re.compile(r"(^|/)\.[^/]*\.part$")
_TO_TRAIN = re.compile(r"(\d+) of (\d+) cells are to be trained")


@dataclass(frozen=True)
class Fault:
    """The n-th call of a kind fails in one stage.

    Attributes:
        stage: A rule or a command.
        older: Whether older results of all stages lie there.
        kind: See `fault_injection.KINDS`.
        n: Which call, from 1.
        number: What errno becomes; `fault_injection.KILL` kills the process instead.
        onwards: Whether all later calls fail too, as on a disk that is full.
    """

    stage: str
    older: bool
    kind: str
    n: int
    number: int
    onwards: bool = False

    def __str__(self) -> str:
        place = "over older results" if self.older else "afresh"
        what = "killed" if self.number == fault_injection.KILL else os.strerror(self.number)
        return f"{self.stage} {place}: {self.kind} {self.n}{'+' * self.onwards}, {what}"


class Stages:
    """Runs stages in processes of their own, forked from one that has imported everything; see stages.py."""

    def __init__(self, library: Path) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("stages.py"))],
            env=fault_injection.environment(library, []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, folder: Path, *stages: str, fault: Fault | None = None, **more: Any
    ) -> tuple[int, str, dict[str, int]]:
        """Run stages in a folder; returns the exit status, all that was printed, and the calls of each kind."""
        output = folder.with_name(f"{folder.name}.out")
        output.unlink(missing_ok=True)
        asked = {"kind": "", "n": 0, "number": 0, "onwards": 0}
        if fault:
            asked = {"kind": fault.kind, "n": fault.n, "number": fault.number, "onwards": int(fault.onwards)}
        request = {"folder": str(folder), "stages": stages, "output": str(output), **asked, **more}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        counts = dict(zip(fault_injection.KINDS, answer["counts"], strict=True))
        return answer["status"], output.read_text(), counts

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait()


class Tiny:
    """The study before each stage, afresh and with older results, and as it must be after it.

    Args:
        folder: Where its copies go.
        stages: Runs them.
    """

    def __init__(self, folder: Path, stages: Stages) -> None:
        self.folder, self.stages = folder, stages
        self.counts: dict[tuple[str, bool], dict[str, int]] = {}
        self._expected: dict[tuple[str, bool], dict[str, str]] = {}
        older = _project(folder / "older", 0.05)
        self._quiet(older, *STAGES, modules=True)
        fresh = _project(folder / "fresh", 0.1)
        for stage in (*STAGES, *COMMANDS):
            _copy(fresh, self._before(stage, False))
            _copy(older, self._before(stage, True))
            _copy(fresh, self._before(stage, True))
            over_older = self.copy(stage, True)
            for where, place in ((over_older, True), (fresh, False)):
                self.counts[stage, place] = self._quiet(where, stage)
                self._expected[stage, place] = contents(where)

    def copy(self, stage: str, older: bool) -> Path:
        """The study before a stage, to be changed."""
        made = self.folder / "copy"
        shutil.rmtree(made, ignore_errors=True)
        _copy(self._before(stage, older), made)
        return made

    def undergo(self, fault: Fault) -> None:
        """Run a stage with a fault, then once more without.

        Raises:
            AssertionError: If the fault was silent or badly told, something finished is lost, or bits differ.
        """
        folder = self.copy(fault.stage, fault.older)
        before, after = contents(folder), self._expected[fault.stage, fault.older]
        status, output, counts = self.stages.run(folder, fault.stage, fault=fault)
        if killed := fault.number == fault_injection.KILL:
            assert status == -signal.SIGKILL, f"{fault}: exit status {status}\n{output}"
        else:
            assert counts[fault.kind] >= fault.n, f"{fault}: never came\n{output}"
            check_output(str(fault), status, output)
        left = contents(folder)
        for path in {*before, *after, *left}:
            if _HALF.search(path):
                assert killed or fault.kind == "unlink", f"{fault}: left {path}"
            elif _GROWING.search(path):
                assert not left.get(path, "").startswith("damaged"), f"{fault}: {path} is damaged"
            else:
                known = (before.get(path), after.get(path))
                assert left.get(path) in known, f"{fault}: {path} is neither old nor new\n{output}"
        if status == 0:
            missing = {path for path in after if left.get(path) != after[path]}
            assert not missing, f"{fault}: silent, without {missing}\n{output}"
        finished = {
            path for path in left if "/store/cells/" in path and left[path] == after.get(path) != before.get(path)
        }
        status, again, _ = self.stages.run(folder, fault.stage)
        assert status == 0, f"{fault}: then\n{output}{again}"
        if found := _TO_TRAIN.search(again):
            assert int(found[1]) <= int(found[2]) - len(finished), f"{fault}: trained again\n{output}{again}"
        end = {path: digest for path, digest in contents(folder).items() if not _HALF.search(path)}
        differ = {path for path in {*end, *after} if end.get(path) != after.get(path)}
        assert not differ, f"{fault}: {differ} differ afterwards\n{output}{again}"

    def after(self, stage: str, older: bool) -> dict[str, str]:
        """Digests of all files after an undisturbed stage."""
        return self._expected[stage, older]

    def _before(self, stage: str, older: bool) -> Path:
        return self.folder / f"before-{stage}-{'older' if older else 'fresh'}"

    def _quiet(self, folder: Path, *stages: str, **more: Any) -> dict[str, int]:
        status, output, counts = self.stages.run(folder, *stages, **more)
        assert status == 0, output
        return counts


def _copy(project: Path, to: Path) -> None:
    """Copy a project over another, without its links to gengap, which the next command makes."""
    shutil.copytree(project, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("installed"))


def check_output(what: str, status: int, output: str) -> None:
    """A command ended well, or told in one message which file it is about; never by a traceback."""
    assert status in (0, 1), f"{what}: exit status {status}\n{output}"
    for word in ("Traceback", "this is a bug", "Logging error", "Exception ignored"):
        assert word not in output, f"{what}: {word}\n{output}"
    errors = [line for line in output.splitlines() if "error: " in line]
    assert len(errors) == status, f"{what}: {len(errors)} errors told\n{output}"
    if errors:
        assert re.search(r"(data|results|config|\.gengap|\.snakemake)/", errors[0]), f"{what}: names no file\n{output}"
        assert errors[0].endswith("."), f"{what}: no sentence\n{output}"


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file of a project that counts; of HDF5 files, of what they hold, their provenance apart."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: _digest(path) for name, path in names.items() if not _ASIDE.search(name)}


def _digest(path: Path) -> str:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    return _content_digest(found, path) if path.suffix == ".h5" else found


_KNOWN: dict[str, str] = {}


def _content_digest(file_digest: str, path: Path) -> str:
    """Digest of what an HDF5 file holds; most files are copies of few, so it is kept by the digest of all bytes."""
    if file_digest not in _KNOWN:
        try:
            _KNOWN[file_digest] = hashlib.sha256(_held(path)).hexdigest()
        except (OSError, RuntimeError, KeyError) as error:
            _KNOWN[file_digest] = f"damaged: {error}"
    return _KNOWN[file_digest]


def _held(path: Path) -> bytes:
    found: dict[str, Any] = {}

    def keep(name: str, item: h5py.Dataset | h5py.Group) -> None:
        attributes = {key: str(value) for key, value in item.attrs.items() if key != "provenance"}
        value = item[()] if isinstance(item, h5py.Dataset) else None
        found[name] = (attributes, value.tolist() if value is not None and value.dtype == object else str(value))
        if value is not None and value.dtype != object:
            found[name] = (attributes, value.tobytes().hex())

    with h5py.File(path) as file:
        keep("", file)
        file.visititems(keep)
    return json.dumps(found, sort_keys=True, default=str).encode()


def _project(folder: Path, rate: float) -> Path:
    (folder / "config/studies").mkdir(parents=True)
    (folder / "config/studies/tiny.yaml").write_text(STUDY.format(rate=rate))
    text = (REPOSITORY / "config/config.yaml").read_text()
    assert "studies: [quickstart]" in text
    (folder / "config/config.yaml").write_text(text.replace("studies: [quickstart]", "studies: [tiny]"))
    return folder
