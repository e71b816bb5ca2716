"""Simulate one point of a grid (rule `simulate`); the work is in gengap.simulations."""

from pathlib import Path

import torch

from gengap import logs, provenance, simulations
from gengap.simulation import Point

with logs.job(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    simulations.simulate_point(
        snakemake.wildcards.point,
        Point.model_validate(snakemake.params.point),
        Path(snakemake.output[0]),
        prepared=Path(snakemake.input.prepared[0]) if snakemake.input.prepared else None,
        device=snakemake.config["device"],
        provenance=provenance.record({"point": snakemake.params.point}),
    )
