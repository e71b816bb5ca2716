"""Write one table (rules `table_*`); the work is in gengap.tables."""

from gengap import logs, tables
from gengap.analysis import evidence

with logs.job(snakemake.log[0]):
    tables.write(
        snakemake.params.table,
        evidence.read(snakemake.input.measurements, snakemake.input.references),
        snakemake.output,
    )
