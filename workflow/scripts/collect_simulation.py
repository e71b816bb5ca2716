"""Collect a simulation's draws (rule `collect_simulation`); the work is in gengap.evidence.collect_simulation."""

from pathlib import Path

from gengap.evidence.collect_simulation import collect_simulation
from gengap.files import timings
from gengap.snakemake_support.job import job
from gengap.studies.simulation import Simulation

with job(snakemake.log[0]), timings.whole(snakemake.wildcards.study, "", "collect_simulation"):
    collect_simulation(
        Simulation.model_validate(snakemake.params.simulation),
        [Path(path) for path in snakemake.input.points],
        Path(snakemake.output.measurements),
        Path(snakemake.output.cells),
    )
