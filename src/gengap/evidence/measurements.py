"""A study's measurements as tables: what figures, tables, verdicts and `gengap.load` read."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gengap.errors import UserError
from gengap.evidence.published import read_published
from gengap.files import arrays, storage
from gengap.files.arrays import Array
from gengap.quantities import QUANTITIES
from gengap.studies.options import own_options
from gengap.studies.study import Figure, Table

SEED = "seed"


@dataclass(frozen=True)
class Evidence:
    """Everything that was measured in one study.

    Attributes:
        study: ``name``, ``title``, ``question``, ``source``, ``reduced``, ``axes`` (short names of the grid axes),
            ``n_cells``, ``data`` (facts about the labelled data), ``fixed`` (settings that all cells share, by short
            name) and ``varied`` (settings that change with an axis such as ``arm``, which are columns of `cells`); the
            section ``scoreboard`` if the study has one.
        cells: One row per cell: ``cell``, its value on every axis, ``status`` (finished, dead, stuck, diverged),
            ``stopped_by``, ``epochs_trained``, ``n_parameters``, ``pack``, and the last value of every quantity that
            a probe measured on the whole network, and what `gengap.evidence.derived` makes of them; shares are
            fractions.
        history: What was recorded while training: ``cell``, ``epoch``, ``quantity``, ``value``, ``batchnorm``.
        measurements: What the probes measured: ``cell``, ``epoch``, ``layer`` (empty for the whole network),
            ``quantity``, ``value``, ``batchnorm``, ``probe``; of a probe in several BatchNorm modes, the first that the
            study lists.
        other_modes: The same of the other modes.
        array_probes: Probes that measured an array of each network, such as a spectrum.
        failures: What a probe could not measure: ``cell``, ``epoch``, ``why``, ``probe``.
        path: The file, from which `arrays` reads.
        published: Tables of the published numbers that the study is compared with, where they were asked for.
        options: Options of the figure or table that is made of it, by name; see `with_options`.
    """

    study: dict[str, Any]
    cells: pd.DataFrame
    history: pd.DataFrame
    measurements: pd.DataFrame
    failures: pd.DataFrame
    path: Path
    published: tuple[pd.DataFrame, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    other_modes: pd.DataFrame = field(default_factory=pd.DataFrame)
    array_probes: tuple[str, ...] = ()

    @property
    def axes(self) -> tuple[str, ...]:
        """Short names of the grid axes, the seed left out: cells that agree on them are one group."""
        return tuple(axis for axis in self.study["axes"] if axis != SEED)

    @property
    def finished(self) -> pd.DataFrame:
        """The cells that finished and are neither dead nor stuck."""
        return self.cells[self.cells["status"] == "finished"]

    def with_stuck(self) -> "Evidence":
        """The same with stuck networks among the finished: for what is no matter of how much they learned."""
        return dataclasses.replace(self, cells=self.cells.replace({"status": {"stuck": "finished"}}))

    def arrays(self, quantity: str) -> list[Array]:
        """The arrays that were measured of a quantity: one per pack, probe and layer, since shapes may differ."""
        with storage.reading(self.path, "measurements") as file:
            first = first_modes(storage.read_table(file, "measurements"))
            found = arrays.read(file, quantity)
            return [one for one in found if one.batchnorm == first.get(one.probe, one.batchnorm)]


def read(path: str | Path, published: Iterable[str | Path] = ()) -> Evidence:
    """Read the file that `gengap.evidence.collect.collect` wrote.

    Args:
        path: The file.
        published: Files of published numbers; see `gengap.evidence.published.read_published`.

    Raises:
        UserError: If a file is missing, damaged, of another kind, or from another version.
    """
    with storage.reading(path, "measurements") as file:
        measured = storage.read_table(file, "measurements")
        first = measured["batchnorm"] == measured["probe"].map(first_modes(measured))
        return Evidence(
            study=json.loads(file.attrs["study"]),
            cells=storage.read_table(file, "cells"),
            history=storage.read_table(file, "history"),
            measurements=measured[first].reset_index(drop=True),
            other_modes=measured[~first].reset_index(drop=True),
            failures=storage.read_table(file, "failures"),
            path=Path(path),
            published=tuple(read_published(one) for one in published),
            array_probes=arrays.probes(file),
        )


def first_modes(measured: pd.DataFrame) -> dict[str, str]:
    """The BatchNorm mode of each probe that stands first in a table of measurements."""
    first = measured.drop_duplicates("probe")
    return dict(zip(first["probe"], first["batchnorm"], strict=True))


def with_options(evidence: Evidence, part: Figure | Table) -> Evidence:
    """The evidence with the options of one figure or table: what the study says, or the defaults of its header."""
    options = {key: getattr(part, key) for key in own_options(part.kind, part.name)}
    return dataclasses.replace(evidence, options=options)


def measured(evidence: Evidence, quantity: str, probe: str) -> pd.DataFrame:
    """The measurements of one quantity.

    Raises:
        UserError: If there are none; the message names the probe that the study lacks.
    """
    rows = evidence.measurements[evidence.measurements["quantity"] == quantity]
    if rows.empty:
        raise lacking(evidence, quantity, probe)
    return rows


def lacking(evidence: Evidence, quantity: str, probe: str) -> UserError:
    """Say that a quantity was not measured, and which probe measures it."""
    return UserError(
        f"study '{evidence.study['name']}': {QUANTITIES[quantity].label} was not measured. List "
        f"'{probe}' under `probes` in the study's file, if it is not, and run the study; nothing is trained again."
    )
