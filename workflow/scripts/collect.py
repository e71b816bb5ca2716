"""Collect a study's measurements (rule `collect`); the work is in gengap.evidence.collect."""

from pathlib import Path

from gengap import layout
from gengap.evidence import imported
from gengap.evidence.collect import collect, data_facts
from gengap.files import timings
from gengap.snakemake_support.job import job
from gengap.studies import imports
from gengap.studies.study import Study

with job(snakemake.log[0]), timings.whole(snakemake.wildcards.study, "", "collect"):
    study = Study.model_validate(snakemake.params.study)
    layout.packs(study.name).mkdir(parents=True, exist_ok=True)  # DVC wants it, even where all packs are imported
    collect(
        study,
        data_facts([Path(path) for path in snakemake.input.labelled], study.cells.values()),
        [Path(path) for path in snakemake.input.histories],
        [Path(path) for path in snakemake.input.probes],
        Path(snakemake.output.measurements),
        Path(snakemake.output.cells),
        imported.of_study(study, imports.read(map(Path, snakemake.input.imports))),
    )
