"""Write one table (rules `table_*`); the work is in gengap.evidence.tables."""

from gengap.evidence import measurements, tables
from gengap.files import timings
from gengap.snakemake_support.job import job
from gengap.studies.packing import section_from
from gengap.studies.study import Table

with job(snakemake.log[0]), timings.whole(snakemake.wildcards.study, "", snakemake.rule):
    tables.write(
        section_from(Table, snakemake.params.table),
        measurements.read(snakemake.input.measurements, snakemake.input.published),
        snakemake.output,
    )
