"""The jobs of a study from raw data to figures, each as its rule calls it, in processes that need not import PyTorch.

Run as a program it is their parent: it imports what they will use, reads requests and forks a process for each. A line
of JSON asks for one stage in one folder, with one fault; the answer has its exit status and the calls that it made.
"""

import ctypes
import functools
import importlib
import json
import os
import runpy
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

KINDS, KILL = 10, -1  # as faults.c has them
SCRIPTS = Path(__file__).resolve().parents[2] / "workflow/scripts"
CONFIG = {"data_root": "data/raw", "store": ".gengap/store", "device": "cpu"}
COMMANDS = {"check": ["check", "tiny"], "jobs": ["jobs"], "summary": ["summary", "tiny"], "clean": ["clean", "--yes"]}


class Named(dict[str, Any]):
    """Files or settings by name or by place, as Snakemake gives them to a script."""

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __getitem__(self, key: str | int) -> Any:
        return [*self.values()][key] if isinstance(key, int) else super().__getitem__(key)


@functools.cache
def jobs() -> list[tuple[str, Any, dict[str, str]]]:
    """The rules of all jobs of the project in this folder, in an order in which they can run, with their wildcards.

    All folders have the same study, so the parent makes the list once.
    """
    return [*_jobs()]


def _jobs() -> Iterator[tuple[str, Any, dict[str, str]]]:
    from gengap import layout
    from gengap.studies.jobs import Plan
    from gengap.studies.study import load_studies

    studies = load_studies(layout.STUDIES)
    plan = Plan(studies, {})
    yield from (("prepare", plan.prepare(dataset), {"dataset": dataset}) for dataset in plan.datasets)
    yield from (
        ("label", plan.label(*keys), dict(zip(("dataset", "labels"), keys, strict=True))) for keys in plan.labels
    )
    for study in studies:
        for pack in plan.packs[study]:
            of_pack = {"study": study, "pack": pack}
            yield "train", plan.train(study, pack), of_pack
            for probe in studies[study].probes:
                yield "probe", plan.probe(study, pack, probe.name), {**of_pack, "probe": probe.name}
        yield from ((job.rule.split("_")[0], job, {"study": study}) for job in plan.evidence(study))


def run_rule(rule: str) -> None:
    """Run the script of every job of a rule."""
    from gengap import layout, training

    # A pack of some seconds is saved between any two steps.
    training.RunOptions = functools.partial(training.RunOptions, save_seconds=0)  # type: ignore[misc]
    for name, job, wildcards in jobs():
        if name == rule:
            snakemake = SimpleNamespace(
                input=Named(job.inputs),
                output=Named(job.outputs),
                params=Named(job.params),
                wildcards=Named(wildcards),
                rule=job.rule,
                log=[str(layout.log(wildcards.get("study", "data"), rule))],
                threads=1,
                resources=Named(mem_mb=4000),
                config=CONFIG,
            )
            runpy.run_path(str(SCRIPTS / Path(job.inputs["script"]).name), init_globals={"snakemake": snakemake})


def run(stage: str) -> None:
    """Run a stage in this folder: a rule, or a command of `gengap`."""
    if stage in COMMANDS:
        from gengap.cli.main import main

        sys.exit(main(COMMANDS[stage]))
    run_rule(stage)


def _child(request: dict[str, Any], answer: int) -> None:
    """Do what a request asks, and end the process."""
    log = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    library = ctypes.CDLL(os.environ["LD_PRELOAD"])
    status = 0
    library.fault_roots(request["folder"].encode())
    if request["number"] == KILL:
        os.setsid()  # the library kills a process group
    if "record" in request:
        library.fault_record(request["record"].encode())
    library.fault_arm(request["kind"].encode(), ctypes.c_uint64(request["n"]), request["number"], request["onwards"])
    try:
        for stage in request["stages"]:
            run(stage)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 2
    sys.stdout.flush()
    sys.stderr.flush()
    counts = (ctypes.c_uint64 * KINDS)()
    library.fault_counts(counts)
    library.fault_arm(b"", ctypes.c_uint64(0), 0, 0)
    modules = sorted(sys.modules) if request.get("modules") else []
    os.write(answer, json.dumps({"status": status, "counts": [*counts], "modules": modules}).encode())
    os._exit(0)


def serve() -> None:
    """Answer requests until their end."""
    for line in sys.stdin:
        request = json.loads(line)
        reading, writing = os.pipe()
        os.chdir(request["folder"])
        if not request.get("modules"):
            jobs()
        child = os.fork()
        if child == 0:
            _child(request, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        _, ended = os.waitpid(child, 0)
        found = json.loads(answer) if answer else {"status": os.waitstatus_to_exitcode(ended), "counts": [0] * KINDS}
        for name in found.pop("modules", []):
            _import(name)
        print(json.dumps(found), flush=True)


def _import(name: str) -> None:
    """Import what a child had to import, so that later ones need not."""
    if name not in sys.modules and "__main__" not in name:
        try:
            importlib.import_module(name)
        except Exception:
            return


if __name__ == "__main__":
    serve()
