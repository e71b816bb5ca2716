"""Measure one probe on one pack (rule `probe`); the work is in gengap.probes."""

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
    probe = probe_from(snakemake.params.probe)
    cells = {name: Cell.from_identity(identity) for name, identity in snakemake.params.cells.items()}
    with timings.timed(
        snakemake.wildcards.study,
        snakemake.wildcards.pack,
        snakemake.wildcards.probe,
        estimate.probe_kind(probe, next(iter(cells.values()))),
        threads=snakemake.threads,
    ) as paces:
        pace = probes.measure_pack(
            probe,
            cells,
            Path(snakemake.input.weights),
            labels.read(Path(snakemake.input.prepared), Path(snakemake.input.labelled)),
            Path(snakemake.output[0]),
            store_folder=Path(snakemake.config["store"]),
            device=snakemake.config["device"],
            provenance=provenance.record(
                {"probe": snakemake.params.probe, "cells": snakemake.params.cells},
                code=code_dependencies.digest(snakemake.input.code),
            ),
        )
        paces.append(pace)
