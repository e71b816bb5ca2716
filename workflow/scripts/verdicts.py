"""Compare a study with published numbers (rule `verdicts`); the work is in gengap.evidence.verdicts."""

from gengap.evidence import measurements, tables
from gengap.evidence.published import read_published
from gengap.evidence.verdicts import judge
from gengap.files import timings
from gengap.snakemake_support.job import job

with job(snakemake.log[0]), timings.whole(snakemake.wildcards.study, "", "verdicts"):
    published = [read_published(path) for path in snakemake.input.published]
    verdicts = judge(measurements.read(snakemake.input.measurements), published)
    tables.write_verdicts(verdicts, snakemake.wildcards.study, snakemake.output.csv, snakemake.output.html)
