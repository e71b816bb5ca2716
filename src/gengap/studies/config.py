"""The workflow's configuration, config/config.yaml."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from gengap import layout
from gengap.errors import UserError, unknown_name
from gengap.files import paths
from gengap.studies.names import REDUCED
from gengap.studies.reading import read_yaml
from gengap.studies.schema import Names, Settings
from gengap.studies.validation import check_once, validate


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
    for key, value in (("store", config.store), ("data_root", config.data_root.removeprefix("~"))):
        if sign := next((sign for sign in "$~" if sign in value), ""):
            raise UserError(f"{path}: {key}: {value!r} is taken as it stands, with the {sign}. Write the whole path.")
    for key, value in (("store", config.store), ("data_root", config.data_root)):
        if not value.strip() or "://" in value or Path(value).is_file():
            raise UserError(f"{path}: {key}: {value!r} is no folder of this machine. Write the path of one.")
    if Path(config.store).resolve() in (Path.cwd(), *Path.cwd().parents):
        raise UserError(f"{path}: store: {config.store!r} holds this project. Name a folder for the store alone.")
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
        check_once(named, f"{path}: {key}")
        for name in named:
            if name not in known:
                raise unknown_name(kind, name, known, where=f"{path}: {key}")
    return config


def data_root() -> Path:
    """The folder of raw data of the project in which we are, as its file says, for jobs that are not told of it."""
    written = read_yaml(layout.CONFIG) if layout.CONFIG.exists() else {}
    return paths.data_root(str(written.get("data_root", layout.DATA / "raw")))
