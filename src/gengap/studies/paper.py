"""A paper: the studies and simulations that reproduce one source, built together."""

from collections.abc import Collection, Container
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gengap.errors import UserError, unknown_name
from gengap.studies.names import REDUCED, check_study_name
from gengap.studies.reading import read_yaml
from gengap.studies.schema import Line, Settings
from gengap.studies.validation import check_once, validate


class Paper(Settings):
    """One entry of config/papers.yaml."""

    source: Line
    studies: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


def load_papers(path: Path, known: Collection[str]) -> dict[str, Paper]:
    """Read and check which studies belong together.

    Args:
        path: The YAML file; one that is missing names no paper.
        known: Names of all studies and simulations, full and reduced.

    Raises:
        UserError: If a key, a name or a study is wrong.
    """
    if (other := path.with_suffix(".yml")).exists():
        raise UserError(f"{other}: is not read, since its name does not end with .yaml. Rename it to {path.name}.")
    content = read_yaml(path) if path.exists() else {}
    papers = {str(name): validate(Paper, entry, f"{path}: {name}: ") for name, entry in content.items()}
    full = [name for name in known if not name.endswith(REDUCED)]
    for name, paper in papers.items():
        check_study_name(name, f"{path}: {name}", "paper")
        check_once(paper.studies, f"{path}: {name}.studies")
        if name in known:
            raise UserError(f"{path}: {name}: a study has this name. Give the paper another.")
        for study in paper.studies:
            if study not in full:
                raise unknown_name("study", study, full, where=f"{path}: {name}.studies")
    return papers


def reduced(paper: Paper, known: Container[str]) -> tuple[str, ...]:
    """The paper's studies with their reduced settings, where they have any."""
    return tuple(name + REDUCED if name + REDUCED in known else name for name in paper.studies)
