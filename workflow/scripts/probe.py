"""Measure one probe on one pack (rule `probe`); the work is in gengap.probes."""

from pathlib import Path

import torch

from gengap import labels, logs, probes, provenance
from gengap.settings import Cell
from gengap.study import Probe

with logs.job(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    probes.measure_pack(
        Probe.model_validate(snakemake.params.probe),
        {name: Cell.from_identity(identity) for name, identity in snakemake.params.cells.items()},
        Path(snakemake.input.weights),
        labels.read(Path(snakemake.input.prepared), Path(snakemake.input.labelled)),
        Path(snakemake.output[0]),
        device=snakemake.config["device"],
        provenance=provenance.record({"probe": snakemake.params.probe, "cells": snakemake.params.cells}),
    )
