"""The scoreboard of one study or of several: their networks as one population, and what it says of the measures."""

import fnmatch
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from gengap.errors import UserError
from gengap.evidence.measurements import SEED, Evidence
from gengap.logs import log
from gengap.quantities import QUANTITIES
from gengap.scoreboard.board import Board, board
from gengap.scoreboard.population import Population, TooFewNetworksError, population
from gengap.scoreboard.report import wide
from gengap.scoreboard.verdicts import UNDECIDED
from gengap.studies.scoreboard import Scoreboard

STUDY = "study"  # the axis that tells the networks of several studies apart
MOST_MISSING = 0.1  # of the finished networks; a measure that a pattern finds and that more lack is not judged
_NO_MEASURE = ("test_*", "generalization_gap", "*_standard_error", "*_residual")


def settings_of(evidence: Evidence) -> Scoreboard:
    """The study's section `scoreboard`; its defaults if the study has none."""
    return Scoreboard.model_validate_json(json.dumps(evidence.study.get("scoreboard") or {}))


def made(evidences: Sequence[Evidence], settings: Scoreboard) -> Board:
    """Judge the measures of one study, or of several on the networks of all.

    Args:
        evidences: The measurements of the studies.
        settings: What is judged.

    Raises:
        UserError: If a quantity or an axis was not measured in a study, or too few networks finished.
    """
    found = networks(evidences, settings)
    parameters = found.table["n_parameters"].to_numpy(dtype=float)
    return board(found, parameters=parameters, least=settings.least_sample, resamples=settings.resamples)


def judged(evidence: Evidence) -> pd.DataFrame:
    """One row per measure and control of a study; see `gengap.scoreboard.report.wide`.

    Where too few networks finished to judge anything, there is one row for all measures: ``measure``, ``control``,
    ``verdict`` (undecided) and ``why``. So a study whose networks die still ends with its tables.

    Raises:
        UserError: If a quantity was not measured.
    """
    try:
        return wide(made([evidence], settings_of(evidence)))
    except TooFewNetworksError as error:
        return pd.DataFrame(
            {"measure": ["all measures"], "control": [False], "verdict": [UNDECIDED], "why": [str(error)]}
        )


def networks(evidences: Sequence[Evidence], settings: Scoreboard) -> Population:
    """The finished networks of the studies as one population.

    Of several studies, the design is the axes that any of them varies, and the study itself; an axis that a study does
    not vary has there the value that its cells share.

    Raises:
        UserError: As `made`.
    """
    where = ", ".join(evidence.study["name"] for evidence in evidences)
    axes = list(settings.axes or dict.fromkeys(axis for evidence in evidences for axis in evidence.axes))
    table = pd.concat([_with_axes(evidence, axes) for evidence in evidences], ignore_index=True)
    if len(evidences) > 1:
        axes = [STUDY, *axes]
    axes = [axis for axis in axes if table[axis].astype(str).nunique() > 1]
    measures = _measures(table, settings)
    return population(
        table.assign(**{name: ordered(table[name]) for name in measures}),
        gap=settings.gap,
        axes=axes,
        measures=measures,
        seed=SEED if SEED in table else "",
        status="status",
        at_least=settings.at_least,
        equal=settings.equal,
        decreasing=[name for name in settings.decreasing if name in measures],
        test_size=settings.test_size or 0,
        where=where,
    )


def ordered(values: pd.Series) -> pd.Series:
    """A measure with numbers in the place of infinities, beyond all others: every statistic reads its order alone.

    A probe gives an infinity where it has a meaning, such as a bound divided by a margin of 0; not a number stays.
    """
    size = values[np.isfinite(values)].abs().max()
    beyond = 1.0 if pd.isna(size) else 2.0 * size + 1.0
    return values.replace({np.inf: beyond, -np.inf: -beyond})


def _with_axes(evidence: Evidence, axes: Sequence[str]) -> pd.DataFrame:
    """The study's cells with a column per axis, and its name."""
    cells = evidence.cells.copy()
    for axis in axes:
        if axis not in cells:
            if axis not in evidence.study["fixed"]:
                raise UserError(f"study '{evidence.study['name']}': has no setting '{axis}'. Leave it out of the axes.")
            cells[axis] = evidence.study["fixed"][axis]
        if len(axes) and not pd.api.types.is_numeric_dtype(cells[axis]):
            cells[axis] = cells[axis].astype(str)
    if SEED not in cells:
        cells[SEED] = 0
    return cells.assign(study=evidence.study["name"])


def _measures(table: pd.DataFrame, settings: Scoreboard) -> list[str]:
    """Columns that the patterns find: measured without the test set, on nearly all finished networks."""
    finished = table[table["status"] == "finished"]
    roles = {settings.gap, *settings.equal}
    found: list[str] = []
    for pattern in settings.measures:
        if pattern in table:
            found.append(pattern)
            continue
        for name in (name for name in QUANTITIES if name in table and fnmatch.fnmatchcase(name, pattern)):
            if name in roles or any(fnmatch.fnmatchcase(name, one) for one in _NO_MEASURE):
                continue
            missing = finished[name].isna().mean()
            if missing > MOST_MISSING:
                log.warning("scoreboard: '%s' is not judged: %.0f %% of the networks lack it", name, 100 * missing)
            elif finished[name].nunique() > 1:
                found.append(name)
    if not found:
        raise UserError(
            f"scoreboard.measures: {', '.join(settings.measures)} finds no quantity that was measured on the whole "
            "network. Add a probe to the study."
        )
    return list(dict.fromkeys(found))
