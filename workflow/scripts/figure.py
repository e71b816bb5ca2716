"""Draw one figure (rules `figure_*`); the work is in gengap.figures."""

from gengap import figures, logs
from gengap.analysis import evidence

with logs.job(snakemake.log[0]):
    figures.draw(
        snakemake.params.figure,
        evidence.read(snakemake.input.measurements),
        pdf=snakemake.output.pdf,
        png=snakemake.output.png,
        csv=snakemake.output.csv,
    )
