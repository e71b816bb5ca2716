"""Collect a simulation's draws (rule `collect_simulation`); the work is in gengap.evidence.collect_simulation."""

from pathlib import Path

from gengap import layout
from gengap.evidence import imported
from gengap.evidence.collect_simulation import collect_simulation
from gengap.files import timings
from gengap.snakemake_support.job import job
from gengap.studies import imports
from gengap.studies.simulation import Simulation

with job(snakemake.log[0]), timings.whole(snakemake.wildcards.study, "", "collect_simulation"):
    simulation = Simulation.model_validate(snakemake.params.simulation)
    layout.points(simulation.name).mkdir(parents=True, exist_ok=True)  # DVC wants it, even where all are imported
    collect_simulation(
        simulation,
        [Path(path) for path in snakemake.input.points],
        Path(snakemake.output.measurements),
        Path(snakemake.output.cells),
        imported.of_simulation(simulation, imports.read(map(Path, snakemake.input.imports))),
    )
