"""gengap's workflow: every study of config/studies and every simulation of config/simulations is one target.

snakemake                     the studies that config/config.yaml names
snakemake quickstart          one study;  quickstart-reduced: with its reduced settings
snakemake song                all studies of a paper in config/papers.yaml;  song-reduced
snakemake data                prepared and labelled data only
"""

import functools
import gc
import re
import sys
from pathlib import Path

from snakemake.utils import min_version

from gengap import escaping, installation, layout, logs, snakemake_support
from gengap.counting import count
from gengap.errors import UserError
from gengap.files import legacy_names, store_access
from gengap.files.paths import check_writable
from gengap.registry import REGISTRY
from gengap.snakemake_support import captions, console, run_lock, targets
from gengap.studies import imports
from gengap.studies.jobs import Plan
from gengap.studies.machine import draw_bytes
from gengap.studies.names import REDUCED, rule_of
from gengap.studies.paper import reduced
from gengap.studies.project import load_project

min_version("9.14.0")

with logs.job():
    snakemake_support.install(workflow)
    installation.link()
    if workflow.is_main_process:
        legacy_names.rename()
        snakemake_support.begin()


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


container: config["container"]


if workflow.is_main_process and run_lock.start():
    print("Removed the lock of a run that was killed; what it left incomplete is made again.", file=sys.stderr)


# A mistake in a study or in the configuration ends the run with one message.
with logs.job():
    asked = targets.asked(sys.argv)
    PROJECT = load_project(config, ask=workflow.is_main_process, asked=asked)
    STUDIES, SIMULATIONS, PAPERS, TARGETS = PROJECT.studies, PROJECT.simulations, PROJECT.papers, PROJECT.targets
    made = (layout.packs, layout.points, layout.figures, layout.tables, layout.logs)
    for folder in (layout.PREPARED, layout.LABELLED, *(one(name) for name in TARGETS for one in made)):
        check_writable(folder)
    store_access.check(Path(config.get("store", layout.STORE)), config.get("store_group", ""))
    BUILT = [name for name in PROJECT.built if name in TARGETS]  # none, where something else is asked for
    IMPORTS = imports.read()
    gc.freeze()  # cells stay until the end: the garbage collector need not look through 100,000 of them again and again
    if workflow.is_main_process and targets.runs_jobs(sys.argv):
        run = [name for word in asked or () for name in (PROJECT.built if word == "all" else [word])]
        for warning in PROJECT.check_machine(run, here=targets.runs_here(sys.argv)):
            print(f"warning: {warning}", file=sys.stderr)
        for name in PROJECT.chosen(run):
            for unused in imports.unused(IMPORTS, STUDIES[name]):
                print(f"warning: {unused}", file=sys.stderr)


# The report's text lists these: Snakemake's report leaves the configuration out.
config["described"] = {
    name: {
        "title": escaping.rst_line(TARGETS[name].title),
        "question": escaping.rst(TARGETS[name].question),
        "source": escaping.rst_line(TARGETS[name].source),
        "choices": [escaping.rst_line(choice) for choice in TARGETS[name].choices],
        "reduced": TARGETS[name].reduced,
        "full": name + REDUCED in PROJECT.names,
        "file": str((layout.study_file if name in STUDIES else layout.simulation_file)(name.removesuffix(REDUCED))),
        "size": (
            count(len(STUDIES[name].cells), "network") if name in STUDIES else count(SIMULATIONS[name].n_draws, "draw")
        ),
    }
    for name in config.get("describe") or TARGETS
    if name in TARGETS
}


include: "rules/common.smk"


wildcard_constraints:
    study=any_of(TARGETS),
    pack="[^/]+",  # thousands of names would be searched again and again; `job` refuses others
    dataset=any_of(PLAN.datasets),
    labels=any_of(labels for _, labels in PLAN.labels),
    probe=any_of(probe for name in PLAN.studies for probe in PLAN.probes(name)),
    point="[^/]+",


rule all:
    default_target: True
    input:
        [evidence_of(name) for name in BUILT],
    localrule: True


rule data:
    input:
        sorted({path for name in BUILT for path in PLAN.data(name)}),
    localrule: True


for name in TARGETS:

    rule:
        name:
            name
        input:
            evidence_of(name),
        localrule: True


for name, paper in PAPERS.items():
    for suffix, studies in (("", paper.studies), (REDUCED, reduced(paper, PROJECT.names))):
        if TARGETS.keys() >= set(studies):

            rule:
                name:
                    name + suffix
                input:
                    [evidence_of(study) for study in studies],
                localrule: True


include: "rules/data.smk"
include: "rules/label.smk"
include: "rules/train.smk"
include: "rules/probe.smk"
include: "rules/collect.smk"
include: "rules/simulate.smk"
include: "rules/report.smk"


console.without_output.update(rule.name for rule in workflow.rules if not rule.output)
