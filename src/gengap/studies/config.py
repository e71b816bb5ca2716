"""The workflow's configuration, config/config.yaml, and whether all that it and the studies name is there."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from gengap import layout, registry
from gengap.errors import UserError, unknown_name
from gengap.studies.names import REDUCED
from gengap.studies.schema import Names, Settings
from gengap.studies.validation import validate


class Config(Settings):
    """The keys of config/config.yaml."""

    studies: Names
    reduced: Names = ()
    simulations: Names = ()
    describe: Names = ()  # in the report's text; none: all that are built
    data_root: str
    store: str = str(layout.STORE)  # of finished networks
    store_group: str = ""  # of users that share the store
    device: Literal["auto", "cpu", "cuda"]
    container: str


def check_config(content: Mapping[str, Any], studies: Iterable[str], simulations: Iterable[str], path: Path) -> Config:
    """Check the workflow's configuration.

    Args:
        content: Its keys and values.
        studies: Names of the studies that exist.
        simulations: Names of the simulations that exist.
        path: Its file, for the message.

    Returns:
        The configuration.

    Raises:
        UserError: If a key, a value or a name is wrong.
    """
    config = validate(Config, content, f"{path}: ")
    names = list(studies)
    full = [name for name in names if not name.endswith(REDUCED)]
    for name in config.studies:
        if name in names and name not in full:  # DVC finds a study's file by its name
            raise UserError(
                f"{path}: studies: list '{name.removesuffix(REDUCED)}' under `reduced` instead of '{name}'."
            )
    for kind, key, named, known in (
        ("study", "studies", config.studies, full),
        ("study with reduced settings", "reduced", config.reduced, [n for n in full if n + REDUCED in names]),
        ("simulation", "simulations", config.simulations, list(simulations)),
        ("study", "describe", config.describe, [*names, *simulations]),
    ):
        for name in named:
            if name not in known:
                raise unknown_name(kind, name, known, where=f"{path}: {key}")
    if not config.studies and not config.reduced and not config.simulations:
        raise UserError(f"{path}: studies: names nothing to build. Choose from: {', '.join([*full, *simulations])}.")
    return config


def check_published(studies: Mapping[str, Any], folder: Path) -> None:
    """Check that the published numbers that studies and simulations compare with are there.

    Raises:
        UserError: If a study names a file that `folder` lacks, or a table that needs one without naming any.
    """
    known = [path.stem for path in folder.glob("*.csv")]
    for study in studies.values():
        where = str(layout.study_file(study.name.removesuffix(REDUCED)))
        for name in study.published:
            if name not in known:
                if (old := folder.with_name("reference") / f"{name}.csv").exists():
                    raise UserError(f"{where}: published: '{name}' is in {old.parent}. Move the file to {folder}.")
                raise unknown_name("file of published numbers", name, known, where=f"{where}: published")
        for table in study.tables if not study.published else ():
            if registry.check("table", table.name).published:
                raise UserError(
                    f"{where}: tables: '{table.name}' needs published numbers. Name a file under `published`."
                )
