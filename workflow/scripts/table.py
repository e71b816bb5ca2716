"""Write one table (rules `table_*`); the work is in gengap.evidence.tables."""

from gengap.evidence import measurements, tables
from gengap.files import timings
from gengap.snakemake_support.job import job

with job(snakemake.log[0]), timings.whole(snakemake.wildcards.study, snakemake.params.table, snakemake.rule):
    tables.write(
        snakemake.params.table,
        measurements.read(snakemake.input.measurements, snakemake.input.references),
        snakemake.output,
    )
