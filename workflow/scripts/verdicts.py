"""Compare a study with published numbers (rule `verdicts`); the work is in gengap.analysis.verdicts."""

from gengap import logs, storage
from gengap.analysis import evidence
from gengap.analysis.references import read_reference
from gengap.analysis.verdicts import judge

with logs.job(snakemake.log[0]):
    references = [read_reference(path) for path in snakemake.input.references]
    verdicts = judge(evidence.read(snakemake.input.measurements), references)
    storage.write_text(snakemake.output[0], verdicts.to_csv(index=False, lineterminator="\n"))
