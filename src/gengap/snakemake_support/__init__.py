"""Everything that relies on Snakemake's internals."""
