"""Measure one probe on one pack (rule `probe`); the work is in gengap.probes."""

import time
from pathlib import Path

import torch

from gengap import labels, probes, provenance
from gengap.cost import estimate
from gengap.engine import device
from gengap.files import timings
from gengap.registry import code_dependencies
from gengap.snakemake_support.job import job
from gengap.studies.packing import probe_from
from gengap.studies.settings import Cell

with job(snakemake.log[0]), device.leased(bool(snakemake.resources.get("gpu"))):
    torch.set_num_threads(snakemake.threads)
    begin = time.monotonic()
    probe = probe_from(snakemake.params.probe)
    cells = {name: Cell.from_identity(identity) for name, identity in snakemake.params.cells.items()}
    data = labels.read(Path(snakemake.input.prepared), Path(snakemake.input.labelled))
    measured = probes.measure_pack(
        probe,
        cells,
        Path(snakemake.input.weights),
        data,
        Path(snakemake.output[0]),
        store_folder=Path(snakemake.config["store"]),
        device=snakemake.config["device"],
        provenance=provenance.record(
            {"probe": snakemake.params.probe, "cells": snakemake.params.cells},
            code=code_dependencies.digest(snakemake.input.code),
        ),
    )
    timings.note(
        timings.Timing(
            study=snakemake.wildcards.study,
            part=snakemake.wildcards.pack,
            job=probe.name,
            kind=estimate.probe_kind(probe, next(iter(cells.values())), snakemake.threads),
            work=measured * estimate.samples_read(probe, len(data.train_images)),
            seconds=time.monotonic() - begin,
        )
    )
