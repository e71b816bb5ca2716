"""Simulate one point of a grid (rule `simulate`); the work is in gengap.simulations."""

from pathlib import Path

import torch

from gengap import provenance, simulations
from gengap.files import timings
from gengap.snakemake_support.job import job
from gengap.studies.simulation import point_from

with job(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    point = point_from(snakemake.params.point)
    with timings.timed(
        snakemake.wildcards.study,
        snakemake.wildcards.point,
        timings.SIMULATE,
        simulations.simulation_kind(point),
    ) as paces:
        pace = simulations.simulate_point(
            snakemake.params.name,
            point,
            Path(snakemake.output[0]),
            prepared=Path(snakemake.input.prepared[0]) if snakemake.input.prepared else None,
            device=snakemake.config["device"],
            provenance=provenance.record({"point": snakemake.params.point}),
        )
        paces.append(pace)
