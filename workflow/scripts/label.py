"""Label one dataset (rule `label`); the work is in gengap.labels."""

from pathlib import Path

from gengap import labels
from gengap.files import timings
from gengap.snakemake_support.job import job
from gengap.studies.packing import section_from
from gengap.studies.settings import Labels

part = "/".join((snakemake.wildcards.dataset, snakemake.wildcards.labels))
with job(snakemake.log[0]), timings.whole("", part, "label"):
    labels.label(
        section_from(Labels, snakemake.params.settings), Path(snakemake.input.prepared), Path(snakemake.output[0])
    )
