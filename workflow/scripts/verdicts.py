"""Compare a study with published numbers (rule `verdicts`); the work is in gengap.analysis.verdicts."""

from gengap import logs, tables
from gengap.analysis import evidence
from gengap.analysis.references import read_reference
from gengap.analysis.verdicts import judge

with logs.job(snakemake.log[0]):
    references = [read_reference(path) for path in snakemake.input.references]
    verdicts = judge(evidence.read(snakemake.input.measurements), references)
    tables.write_verdicts(verdicts, snakemake.wildcards.study, snakemake.output.csv, snakemake.output.html)
