"""Populations from elsewhere: Dziugaite's table, PGDL's files and ModelZoos' folders, read as they were published.

None of them is shipped. Each reader takes the documented form and gives a `Population`; nothing is unpickled.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gengap.errors import UserError
from gengap.scoreboard.population import FINISHED, Population, population, read_csv, varying

GAP, STATUS, TEST_SIZE = "gap", "status", 10_000
_MODEL = "model_"


def dziugaite(path: Path) -> Population:
    """Read ``data/nin.cifar10_svhn.csv`` of nitarshan/robust-generalization-measures (arXiv 2010.11924).

    Columns ``hp.*`` are the design, ``complexity.*`` the measures, ``gen.gap`` the gap on 10,000 test samples,
    ``experiment_id`` and ``repeat_id`` name the networks. As the paper's code does: networks that are not
    ``is.converged`` or not ``is.high_train_accuracy`` or have any number that is not finite are left out, learning
    rates are rounded to 4 decimals, ``hp.train_dataset_size`` is called ``train_size``, spectral measures by FFT take
    the place of those without, and the prefixes ``hp.`` and ``complexity.`` are dropped.
    """
    table = read_csv(path)
    for column in ("gen.gap", "is.converged", "is.high_train_accuracy", "hp.lr"):
        if column not in table:
            raise UserError(f"{path}: lacks the column '{column}', so it is not the table of Dziugaite et al. (2020).")
    table = table.rename(columns={"hp.train_dataset_size": "hp.train_size"})
    table["hp.lr"] = table["hp.lr"].round(4)
    measures = [name for name in table.columns if name.startswith("complexity.")]
    design = [name.removeprefix("hp.") for name in table.columns if name.startswith("hp.")]
    table = table.rename(columns={name: name.removeprefix("hp.") for name in table.columns})
    table = table.rename(columns={name: name.removeprefix("complexity.") for name in measures})
    table[STATUS] = FINISHED
    table.loc[~_true(table["is.high_train_accuracy"]), STATUS] = "not high_train_accuracy"
    table.loc[~_true(table["is.converged"]), STATUS] = "not converged"
    numeric = table.select_dtypes("number").columns
    finite = table[numeric].abs().le(1.7e308).all(axis=1) & table.notna().all(axis=1)
    table.loc[(table[STATUS] == FINISHED) & ~finite, STATUS] = "not finite"
    judged = [name.removeprefix("complexity.") for name in measures if f"{name}_fft" not in measures]
    seed = "repeat_id" if "repeat_id" in table else ""
    return population(
        table,
        gap="gen.gap",
        axes=varying(table, design),
        measures=judged,
        seed=seed,
        status=STATUS,
        test_size=TEST_SIZE,
        where=str(path),
    )


def pgdl(path: Path) -> Population:
    """Read one task of PGDL: a folder with ``model_configs.json``, and predictions of measures beside it.

    ``model_configs.json`` maps a model's number to ``hparams`` (of each its ``current_value``) and ``metrics``
    (``train_acc``, ``test_acc``). Every file ``<measure>.predict`` in the folder maps a model's name to a number; in
    the competition's layout, ``<submission>/<task>.predict`` beside the folder of the task, the submission is the
    measure's name. A model may be called ``model_7`` or ``7``. The gap is train minus test accuracy.
    """
    configs = _json(path / "model_configs.json")
    rows: dict[str, dict[str, object]] = {}
    for name, config in configs.items():
        where = f"{path / 'model_configs.json'}: {name}"
        row: dict[str, object] = {
            str(key): _in(_in(config, "hparams", where), key, where)["current_value"]
            for key in _in(config, "hparams", where)
        }
        metrics = _in(config, "metrics", where)
        row[GAP] = float(_in(metrics, "train_acc", where)) - float(_in(metrics, "test_acc", where))
        rows[_model(name)] = row
    table = pd.DataFrame.from_dict(rows, orient="index")
    axes = varying(table, [column for column in table.columns if column != GAP])
    measures = []
    for name, file in _predictions(path):
        found = {_model(key): value for key, value in _json(file).items()}
        if missing := sorted(set(rows) - set(found)):
            raise UserError(f"{file}: lacks the model '{missing[0]}', which {path / 'model_configs.json'} has.")
        table[name] = [found[model] for model in table.index]
        measures.append(name)
    if not measures:
        raise UserError(
            f"{path}: has no predictions. Put <measure>.predict into it, or <measure>/{path.name}.predict beside."
        )
    return population(table, gap=GAP, axes=axes, measures=measures, where=str(path))


def modelzoo(path: Path) -> Population:
    """Read a raw zoo of ModelZoos (arXiv 2209.14764): a folder per network, as ray tune wrote it.

    Every line of a network's ``result.json`` is an epoch: ``train_acc``, ``test_acc``, ``train_loss``, ``test_loss``,
    ``training_iteration`` and ``config``; the last one counts. Before the first epoch training numbers are -999, which
    is no measurement. The design is what varies in ``config``, its ``seed`` apart; a zoo has no explanations of its
    own, so its losses stand for them until columns of `measures.csv` (``network`` and one column per measure), if the
    folder has it, are there.
    """
    rows = [_trial(file) for file in sorted(path.glob("*/result.json"))]
    if not rows:
        raise UserError(f"{path}: has no folder with a result.json. Name the unpacked folder of one zoo.")
    table = pd.DataFrame(rows)
    measures = ["train_loss"]
    if (extra := path / "measures.csv").exists():
        more = read_csv(extra)
        if "network" not in more:
            raise UserError(f"{extra}: lacks the column 'network', the name of a network's folder.")
        measures = [str(name) for name in more.columns if name != "network"]
        table = table.merge(more, on="network", how="left", validate="one_to_one")
    design = [name for name in table.columns if "::" in str(name) and not _incidental(str(name))]
    seed = "seed" if "seed" in table and table["seed"].notna().all() else ""
    return population(
        table,
        gap=GAP,
        axes=varying(table, design),
        measures=measures,
        seed=seed,
        status=STATUS,
        test_size=TEST_SIZE,
        where=str(path),
    )


READERS: dict[str, Callable[[Path], Population]] = {one.__name__: one for one in (dziugaite, pgdl, modelzoo)}


def _trial(file: Path) -> dict[str, object]:
    last: Mapping[str, Any] = {}
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if line.strip():
            last = _parsed(line, f"{file}: line {number}")
    config = last.get("config", {})
    row: dict[str, object] = {"network": file.parent.name, STATUS: FINISHED}
    row |= {str(key): value if not isinstance(value, (list, dict)) else str(value) for key, value in config.items()}
    for key in ("train_acc", "test_acc", "train_loss", "test_loss"):
        value = last.get(key)
        row[key] = float("nan") if value in (None, -999) else float(value)
    row[GAP] = float(row["train_acc"]) - float(row["test_acc"])  # type: ignore[arg-type]
    if not last:
        row[STATUS] = "without results"
    return row


def _incidental(name: str) -> bool:
    """Whether a key of a zoo's configuration says where files are, not how a network was trained."""
    return name.endswith(("::data_path", "::checkpoint_dir", "::dump", "::idx_out", "::output_epoch"))


def _predictions(path: Path) -> Iterator[tuple[str, Path]]:
    yield from ((file.stem, file) for file in sorted(path.glob("*.predict")))
    yield from ((file.parent.name, file) for file in sorted(path.parent.glob(f"*/{path.name}.predict")))


def _model(name: str) -> str:
    return name if name.startswith(_MODEL) else _MODEL + name


def _true(column: pd.Series) -> pd.Series:
    """CSV files have ``True``, ``true`` or 1."""
    return column.astype(str).str.lower().isin(["true", "1", "1.0"])


def _in(mapping: Any, key: str, where: str) -> Any:
    if not isinstance(mapping, Mapping) or key not in mapping:
        raise UserError(f"{where}: lacks '{key}'.")
    return mapping[key]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error}).") from error


def _json(file: Path) -> Mapping[str, Any]:
    return _parsed(_text(file), str(file))


def _parsed(text: str, where: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UserError(f"{where}: is not JSON ({error}).") from error
    if not isinstance(content, dict):
        raise UserError(f"{where}: is {type(content).__name__} where an object is needed.")
    return content
