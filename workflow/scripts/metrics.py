"""Sum up a study in a few numbers (rule `metrics`); the work is in gengap.analysis.metrics."""

import json

import pandas as pd

from gengap import logs, storage
from gengap.analysis import evidence, metrics

with logs.job(snakemake.log[0]):
    found = metrics.metrics(evidence.read(snakemake.input.measurements), pd.read_csv(snakemake.input.verdicts))
    storage.write_text(snakemake.output[0], json.dumps(found, indent=2) + "\n")
