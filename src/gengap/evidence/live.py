"""Learning curves of a study that is still running: of finished packs, and of what the others have saved so far."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gengap import layout
from gengap.errors import UserError, unknown_name
from gengap.evidence.intervals import grouped, interval
from gengap.evidence.measurements import SEED
from gengap.files import storage
from gengap.quantities import QUANTITIES, SHARES
from gengap.studies.packing import packs
from gengap.studies.study import Study, axis_names, axis_values

COLUMNS = ["cell", "epoch", "quantity", "value"]


def history(study: Study, store: Path) -> pd.DataFrame:
    """What training has recorded so far.

    Args:
        study: The study.
        store: The folder in which running packs save their state, once a minute.

    Returns:
        Columns `COLUMNS`; a file that cannot be read, since it is just being replaced, is left out.
    """
    found = []
    for pack in packs(study):
        found += list(_finished(layout.history(study.name, pack)))
    names = {json.dumps(cell.identity(), sort_keys=True): name for name, cell in study.cells.items()}
    for path in sorted(layout.unfinished(store).glob("*.h5")):
        found += list(_running(path, names))
    rows = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)
    rows = rows[rows["cell"].isin(set(study.cells))]
    return rows.drop_duplicates(["cell", "epoch", "quantity"], ignore_index=True)


def curves(study: Study, rows: pd.DataFrame, quantity: str, by: Sequence[str]) -> pd.DataFrame:
    """The course of a quantity, with intervals over the networks of each group.

    Args:
        study: The study.
        rows: What `history` returned.
        quantity: For example ``"test_accuracy"``.
        by: The axes whose values are kept apart; the networks that differ on other axes are one group.

    Returns:
        One row per group and epoch: the axes of `by`, ``epoch``, ``n``, ``mean``, ``low``, ``high``: the ends of the
        mean's 95 % confidence interval, of two networks and more; shares in percent.

    Raises:
        UserError: If there is no such axis or quantity.
    """
    axes = axis_names(study)
    for axis in by:
        if axis not in axes:
            raise unknown_name("axis", axis, axes, where=study.name)
    recorded = sorted(set(rows["quantity"]))
    if recorded and quantity not in recorded:
        raise unknown_name("quantity", quantity, recorded, where=study.name)
    values = pd.DataFrame([{"cell": name, **axis_values(study, cell)} for name, cell in study.cells.items()])
    own = rows[(rows["quantity"] == quantity) & np.isfinite(rows["value"].astype(float))]
    own = values[["cell", *by]].merge(own, on="cell")
    made = []
    for group, part in grouped(own, [*by, "epoch"]):
        found = interval(part["value"], share=quantity in SHARES)
        scale = QUANTITIES[quantity].scale
        low, high = (end * scale for end in found.of_mean)
        made.append({**group, "n": found.n, "mean": found.mean * scale, "low": low, "high": high})
    table = pd.DataFrame(made, columns=[*by, "epoch", "n", "mean", "low", "high"])
    return table.sort_values([*by, "epoch"], kind="stable", ignore_index=True)


def varied(study: Study) -> list[str]:
    """The axes beside the seed that have several values."""
    values = pd.DataFrame([axis_values(study, cell) for cell in study.cells.values()])
    return [axis for axis in axis_names(study) if axis != SEED and values[axis].astype(str).nunique() > 1]


def _finished(path: Path) -> Iterator[pd.DataFrame]:
    if not path.exists():
        return
    try:
        with storage.reading(path, "history") as file:
            yield storage.read_table(file, "history")[COLUMNS]
    except UserError:
        return


def _running(path: Path, names: dict[str, str]) -> Iterator[pd.DataFrame]:
    """Histories in the state of an unfinished pack, of the cells that are the study's."""
    try:
        with storage.reading(path, "unfinished") as file:
            facts = json.loads(file["records"].attrs["facts"])
            rows = file["records/history"][()]
    except (UserError, OSError):
        return
    cells = [names.get(json.dumps(cell["cell"], sort_keys=True), "") for cell in facts["cells"]]
    yield pd.DataFrame(
        {
            "cell": [cells[int(slot)] for slot in rows[:, 0]],
            "epoch": rows[:, 1],
            "quantity": [facts["quantities"][int(number)] for number in rows[:, 2]],
            "value": rows[:, 3],
        }
    )
