"""Train one pack of cells (rule `train`); the work is in gengap.training."""

import time
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
    begin = time.monotonic()
    cells = {name: Cell.from_identity(identity) for name, identity in snakemake.params.cells.items()}
    passed = training.train_pack(
        cells,
        labels.read(Path(snakemake.input.prepared), Path(snakemake.input.labelled)),
        Path(snakemake.output.weights),
        Path(snakemake.output.history),
        training.RunOptions(
            store_folder=Path(snakemake.config["store"]),
            store_group=snakemake.config.get("store_group", ""),
            device=snakemake.config["device"],
            memory_limit=snakemake.resources.mem_mb * 1_000_000,
        ),
        provenance=provenance.record({"cells": snakemake.params.cells}),
    )
    timings.note(
        timings.Timing(
            study=snakemake.wildcards.study,
            part=snakemake.wildcards.pack,
            job=timings.TRAIN,
            kind=estimate.training_kind(list(cells.values()), snakemake.threads),
            work=passed,
            seconds=time.monotonic() - begin,
        )
    )
