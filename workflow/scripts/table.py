"""Write one table (rules `table_*`); the work is in gengap.evidence.tables."""

from gengap.evidence import measurements, tables
from gengap.snakemake_support.job import job

with job(snakemake.log[0]):
    tables.write(
        snakemake.params.table,
        measurements.read(snakemake.input.measurements, snakemake.input.references),
        snakemake.output,
    )
