"""Collect a simulation's draws (rule `collect_simulation`); the work is in gengap.analysis.simulated."""

from pathlib import Path

from gengap import logs
from gengap.analysis.simulated import collect_simulation
from gengap.simulation import Simulation

with logs.job(snakemake.log[0]):
    collect_simulation(
        Simulation.model_validate(snakemake.params.simulation),
        [Path(path) for path in snakemake.input.points],
        Path(snakemake.output.measurements),
        Path(snakemake.output.cells),
    )
