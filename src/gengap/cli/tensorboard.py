"""The command `gengap tensorboard`: learning curves as files that TensorBoard shows, a run for each network."""

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import pandas as pd

from gengap.counting import count
from gengap.errors import UserError
from gengap.evidence import live
from gengap.files.new_folder import new_folder
from gengap.studies.project import load_project
from gengap.studies.study import find_study


def add_parser(commands: Any) -> None:
    """Add the command to those of `gengap`."""
    text = "Write learning curves of a study, also of a running one, for TensorBoard"
    command = commands.add_parser("tensorboard", help=text, description=text + ".")
    command.set_defaults(run=run)
    command.add_argument("study", metavar="STUDY", help="name of a study")
    command.add_argument("folder", metavar="FOLDER", type=Path, help="a new folder, for tensorboard --logdir FOLDER")


def run(options: argparse.Namespace) -> None:
    """Write a folder with one run of TensorBoard for each network.

    Raises:
        UserError: If there is no such study, nothing of it is recorded, the folder exists, or tensorboardX is missing.
    """
    project = load_project(asked=[options.study])
    study = find_study(project.studies, options.study)
    folder: Path = options.folder
    if importlib.util.find_spec("tensorboardX") is None:
        raise UserError("`gengap tensorboard` needs tensorboardX. Install it: pip install tensorboardX.")
    rows = live.history(study, project.store)
    if rows.empty:
        raise UserError(f"{study.name}: nothing is recorded yet. Run the study: snakemake {study.name}.")
    with new_folder(folder, "gengap tensorboard") as building:
        for cell, history in rows.groupby("cell", sort=False):
            _write(history, building / str(cell))
    print(f"{folder}: {rows['cell'].nunique():,} of {count(len(study.cells), 'network')} of {study.name}")
    print(f"  tensorboard --logdir {folder}")


def _write(history: pd.DataFrame, folder: Path) -> None:
    """Write the curves of a network. TensorBoard counts whole steps: what was recorded within an epoch is left out."""
    from tensorboardX.writer import SummaryWriter

    whole = history[history["epoch"] % 1 == 0].sort_values("epoch", kind="stable")
    with SummaryWriter(str(folder), write_to_disk=True) as writer:
        for quantity, value, epoch in zip(whole["quantity"], whole["value"], whole["epoch"], strict=True):
            writer.add_scalar(quantity, value, int(epoch))
