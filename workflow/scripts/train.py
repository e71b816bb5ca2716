"""Train one pack of cells (rule `train`); the work is in gengap.training."""

from pathlib import Path

import torch

from gengap import labels, provenance, training
from gengap.cost import estimate
from gengap.engine import device
from gengap.files import timings
from gengap.snakemake_support.job import job
from gengap.studies.settings import Cell

with job(snakemake.log[0]), device.leased(bool(snakemake.resources.get("gpu"))):
    torch.set_num_threads(snakemake.threads)
    cells = {name: Cell.from_identity(identity) for name, identity in snakemake.params.cells.items()}
    weights, history = Path(snakemake.output.weights), Path(snakemake.output.history)
    store, known = Path(snakemake.config["store"]), labels.read_digests(Path(snakemake.input.labelled))
    with timings.timed(
        snakemake.wildcards.study,
        snakemake.wildcards.pack,
        timings.TRAIN,
        estimate.training_kind(list(cells.values())),
        threads=snakemake.threads,
        networks=max(1, len(training.outstanding(cells, known, weights, history, store))),
    ) as paces:
        pace = training.train_pack(
            cells,
            labels.read(Path(snakemake.input.prepared), Path(snakemake.input.labelled)),
            weights,
            history,
            training.RunOptions(
                store_folder=store,
                store_group=snakemake.config.get("store_group", ""),
                device=snakemake.config["device"],
                memory_limit=snakemake.resources.mem_mb * 1_000_000,
            ),
            origins=[Path(file) for file in snakemake.input.get("origins", [])],
            provenance=provenance.record({"cells": snakemake.params.cells}),
        )
        paces.append(pace)
