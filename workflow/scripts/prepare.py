"""Prepare one dataset (rule `prepare`); the work is in gengap.datasets."""

from pathlib import Path

from gengap import datasets
from gengap.files import paths, timings
from gengap.snakemake_support.job import job
from gengap.studies.packing import section_from
from gengap.studies.settings import Dataset

with job(snakemake.log[0]), timings.whole("", snakemake.wildcards.dataset, "prepare"):
    datasets.prepare(
        section_from(Dataset, snakemake.params.settings),
        paths.data_root(snakemake.config["data_root"]),
        Path(snakemake.output[0]),
    )
