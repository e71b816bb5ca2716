"""Simulate one point of a grid (rule `simulate`); the work is in gengap.simulations."""

import time
from pathlib import Path

import torch

from gengap import provenance, simulations
from gengap.cost import estimate
from gengap.files import timings
from gengap.snakemake_support.job import job
from gengap.studies.simulation import point_from

with job(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    begin = time.monotonic()
    point = point_from(snakemake.params.point)
    simulations.simulate_point(
        snakemake.params.name,
        point,
        Path(snakemake.output[0]),
        prepared=Path(snakemake.input.prepared[0]) if snakemake.input.prepared else None,
        device=snakemake.config["device"],
        provenance=provenance.record({"point": snakemake.params.point}),
    )
    timings.note(
        timings.Timing(
            study=snakemake.wildcards.study,
            part=snakemake.wildcards.point,
            job=timings.SIMULATE,
            kind=estimate.simulation_kind(point),
            work=len(point.seeds),
            seconds=time.monotonic() - begin,
        )
    )
