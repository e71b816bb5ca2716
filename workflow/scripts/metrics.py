"""Sum up a study in a few numbers (rule `metrics`); the work is in gengap.evidence.metrics."""

import json

from gengap.evidence import measurements, metrics
from gengap.files import storage, timings
from gengap.snakemake_support.job import job

with job(snakemake.log[0]), timings.whole(snakemake.wildcards.study, "", "metrics"):
    found = measurements.read(snakemake.input.measurements)
    summed = metrics.metrics(found, storage.read_csv(snakemake.input.verdicts))
    storage.write_text(snakemake.output.metrics, json.dumps(summed, indent=2) + "\n")
    for table, path in (
        (metrics.curves(found), snakemake.output.curves),
        (metrics.final(found), snakemake.output.final),
    ):
        storage.write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
