"""Draw one figure (rules `figure_*`); the work is in gengap.evidence.figures."""

from gengap.evidence import figures, measurements
from gengap.files import timings
from gengap.snakemake_support.job import job
from gengap.studies.packing import section_from
from gengap.studies.study import Figure

with job(snakemake.log[0]), timings.whole(snakemake.wildcards.study, "", snakemake.rule):
    figures.draw(
        section_from(Figure, snakemake.params.figure),
        measurements.read(snakemake.input.measurements, snakemake.input.published),
        snakemake.output,
    )
