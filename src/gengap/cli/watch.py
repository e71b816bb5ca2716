"""The command `gengap watch`: learning curves of a running study, in the terminal or as a page that reloads itself."""

import argparse
import base64
import io
import math
import shutil
import string
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from gengap import layout
from gengap.cli import numbers
from gengap.counting import count
from gengap.errors import UserError
from gengap.evidence import live, words
from gengap.files import storage
from gengap.studies.packing import packs
from gengap.studies.project import load_project
from gengap.studies.study import Study, find_study

_ROWS, _MARGIN = 16, 10  # lines of the picture, and columns left of it
_BAND = "·"
_NOTHING = "Nothing is recorded yet: running packs save their state once a minute."
_LOOK = "body { font: 16px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 60rem; padding: 0 1rem; }"
_LETTERS = string.ascii_lowercase + string.ascii_uppercase


def add_parser(commands: Any) -> None:
    """Add the command to those of `gengap`."""
    text = "Show learning curves of a study while it runs"
    command = commands.add_parser("watch", help=text, description=text + ".")
    command.set_defaults(run=run)
    command.add_argument("study", metavar="STUDY", help="name of a study")
    command.add_argument(
        "--quantity", default="test_accuracy", metavar="QUANTITY", help="quantity to show (default: test_accuracy)"
    )
    command.add_argument(
        "--by", action="append", metavar="AXIS", help="axis with a curve per value (default: all but seed)"
    )
    command.add_argument("--html", type=Path, metavar="FILE", help="write a page that reloads itself instead")
    command.add_argument(
        "--every", type=numbers.from_zero, default=10.0, metavar="SECONDS", help="time between updates (default: 10)"
    )
    command.add_argument("--once", action="store_true", help="show the curves once and end")


def run(options: argparse.Namespace) -> None:
    """Show the curves until all networks have ended, or Ctrl-C.

    Raises:
        UserError: If there is no such study, axis or quantity.
    """
    if not options.every > 0:
        raise UserError(f"--every: {options.every:g} is not allowed. Give a positive number of seconds.")
    project = load_project(asked=[options.study])
    study = find_study(project.studies, options.study)
    by = options.by or live.varied(study)
    try:
        while True:
            rows = live.history(study, project.store)
            curves = live.curves(study, rows, options.quantity, by)
            told = f"{study.name}: {rows['cell'].nunique():,} of {count(len(study.cells), 'network')} have a curve"
            if options.html:
                storage.write_text(options.html, page(study, curves, options.quantity, by, told, options.every))
                print(f"{told}; wrote {options.html}", flush=True)
            else:
                width = shutil.get_terminal_size().columns
                print("\n".join([told, *picture(curves, options.quantity, by, width)]), flush=True)
            if options.once or _ended(study, rows):
                return
            time.sleep(options.every)
    except KeyboardInterrupt:
        return


def picture(curves: pd.DataFrame, quantity: str, by: Sequence[str], width: int) -> list[str]:
    """The curves as lines of text: a letter per group at its mean, dots over its interval, and what the letters mean.

    Args:
        curves: See `gengap.evidence.live.curves`.
        quantity: What they show.
        by: The axes that groups differ on.
        width: Columns of the terminal.
    """
    if curves.empty:
        return [_NOTHING]
    columns = max(width - _MARGIN - 2, 20)
    bounds = pd.concat([curves["mean"], curves["low"], curves["high"]]).dropna()
    lowest, highest = float(bounds.min()), float(bounds.max())
    last = max(float(curves["epoch"].max()), 1e-9)
    span = highest - lowest or 1.0

    def line(value: float) -> int:
        return round((highest - value) / span * (_ROWS - 1))

    cells = [[" "] * columns for _ in range(_ROWS)]
    groups = _groups(curves, by)
    for means in (False, True):  # means lie over the bands
        for letter, (_, part) in zip(_LETTERS, groups, strict=False):
            for epoch, mean, low, high in part[["epoch", "mean", "low", "high"]].to_numpy(float).tolist():
                column = round(epoch / last * (columns - 1))
                if means:
                    cells[line(mean)][column] = letter
                elif not math.isnan(low):
                    for at in range(line(high), line(low) + 1):
                        cells[at][column] = _BAND
    labels = {0: f"{highest:.4g}", _ROWS - 1: f"{lowest:.4g}"}
    drawn = [f"{labels.get(at, ''):>{_MARGIN - 1}} │{''.join(one).rstrip()}" for at, one in enumerate(cells)]
    axis = f"{'':{_MARGIN}}└{'─' * columns}"
    ends = f"{'':{_MARGIN + 1}}0{'epoch':^{columns - 2 - len(f'{last:g}')}}{last:g}"
    return [words.axis(quantity), *drawn, axis, ends, *_legend(groups)]


def _groups(curves: pd.DataFrame, by: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    if not by:
        return [("all", curves)]
    parts = curves.groupby(list(by), sort=False, dropna=False)
    return [(", ".join(f"{axis}={one}" for axis, one in zip(by, key, strict=True)), part) for key, part in parts]


def _legend(groups: Sequence[tuple[str, pd.DataFrame]]) -> list[str]:
    """A line per group: its letter and its last value; groups without a letter are counted."""
    lines = []
    for letter, (name, part) in zip(_LETTERS, groups, strict=False):
        end = part.iloc[-1]
        ends = "" if math.isnan(end["low"]) else f" [{end['low']:.4g}, {end['high']:.4g}]"
        lines.append(f"  {letter}  {name}: {end['mean']:.4g}{ends} at epoch {end['epoch']:g}, n = {end['n']:.0f}")
    if left := len(groups) - len(_LETTERS):
        lines += [f"  and {count(left, 'more group')}; --by names fewer axes"] if left > 0 else []
    return lines


def page(study: Study, curves: pd.DataFrame, quantity: str, by: Sequence[str], told: str, seconds: float) -> str:
    """One page with the curves, which the browser reads again as often as it is written."""
    from matplotlib import style
    from matplotlib.figure import Figure

    from gengap.evidence.figures import STYLE
    from gengap.evidence.figures.drawing import BAND, handles, legend, palette

    content = io.BytesIO()
    with style.context(STYLE):
        figure = Figure(figsize=(7.2, 4.0), layout="constrained")
        axes = figure.subplots()
        groups = _groups(curves, by) if len(curves) else []
        colors = palette(name for name, _ in groups)
        for name, part in groups:
            axes.plot(part["epoch"], part["mean"], color=colors[name])
            axes.fill_between(part["epoch"], part["low"], part["high"], color=colors[name], alpha=BAND, linewidth=0)
        axes.set_xlabel("epoch")
        axes.locator_params("x", integer=True)
        axes.set_ylabel(words.axis(quantity))
        legend(figure, handles(colors) if by else [], below=True)
        figure.savefig(content, format="svg")
    data = base64.b64encode(content.getvalue()).decode()
    told = f"{told}. {'' if len(curves) else _NOTHING} Lines are means, bands their 95 % confidence intervals."
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_LOOK}</style>\n'
        f'<meta http-equiv="refresh" content="{math.ceil(seconds)}">\n<title>{escape(study.name)}</title>\n'
        f"<h1>{escape(study.title)}</h1>\n<p>{escape(told)} Drawn at {time.strftime('%H:%M:%S')}.</p>\n"
        f'<img style="width: 100%" alt="{escape(quantity)}" src="data:image/svg+xml;base64,{data}">\n'
        "</html>\n"
    )


def _ended(study: Study, rows: pd.DataFrame) -> bool:
    """Whether every network's pack is written."""
    return all(layout.history(study.name, pack).exists() for pack in packs(study)) and len(rows) > 0
