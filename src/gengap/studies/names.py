"""Names that users give and names of files that are spelled from settings: what they may hold, and how long they are.

A study's name is a part of paths, a word of the command line, a rule of Snakemake and a stage of DVC.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from gengap.errors import UserError
from gengap.registry import REGISTRY
from gengap.studies.reading import read_text, read_yaml

# A file name has 255 bytes at most, of which suffixes and temporary names take up to 30. Slurm's plugin joins the names
# of a study, a pack and a probe to one, so names that we spell are shorter than they need be.
MOST_BYTES = 120  # of a name spelled from settings
MOST_STUDY_BYTES = 215  # `-reduced` may follow
MOST_PART_BYTES = 200  # of a probe, figure or table, which may be an import path

REDUCED = "-reduced"

# The rules of the workflow, beside one per figure and table.
RULES = frozenset(
    {
        *("all", "data", "prepare", "label", "train", "probe", "collect"),
        *("simulate", "collect_simulation", "verdicts", "metrics"),
    }
)

# Names become parts of paths and wildcards of Snakemake, which takes these apart at commas and strips their quotes (its
# issues 2366, 4298) and puts them into shell commands, in double quotes for job arrays. Slurm replaces %x in paths.
_UNFIT_FOR_PATHS = frozenset("/\\,'\"`$!%")


def unfit_sign(name: str, also: str = "") -> str:
    """The first character of a name that cannot stand in a path or a wildcard; empty if all can.

    Args:
        name: A name that a user has given.
        also: Further characters that it may not have.
    """
    return next((sign for sign in name if sign in _UNFIT_FOR_PATHS or sign in also or not sign.isprintable()), "")


def path_name(name: str, most: int = MOST_BYTES) -> str:
    """A name of cells as it stands in a path: ``rows=6,columns=4`` is ``rows=6_columns=4`` there.

    One that is too long for a file name keeps its beginning, and ends with a digest of the whole.

    Args:
        name: The name.
        most: Bytes that it may have.
    """
    spelled = name.replace(",", "_")
    if len(spelled.encode()) <= most:
        return spelled
    ending = f"_id={hashlib.sha256(name.encode()).hexdigest()[:10]}"
    kept = spelled.encode()[: most - len(ending)].decode(errors="ignore")
    whole_items = kept.rpartition("_")[0]
    return (whole_items if len(whole_items) > len(kept) // 2 else kept) + ending


def check_study_name(name: str, where: str, what: str = "study") -> None:
    """Refuse a name that cannot be one of a study, a simulation or a paper.

    Args:
        name: The name.
        where: Its file, or file and key.
        what: What it is to be a name of.

    Raises:
        UserError: If it has unfit characters, is too long, or is taken by the workflow.
    """
    if sign := next((sign for sign in name if not re.fullmatch(r"[\w.+=-]", sign)), ""):
        raise UserError(
            f"{where}: {sign!r} cannot stand in the name of a {what}, which is a part of paths and of commands. "
            "Use letters, digits and . + - _ ="
        )
    if not re.match(r"\w", name):
        raise UserError(
            f"{where}: the name of a {what} must begin with a letter, a digit or _: it is a word of the command line. "
            "Choose another name."
        )
    if (size := len(name.encode())) > MOST_STUDY_BYTES:
        raise UserError(
            f"{where}: the name of this {what} has {size} bytes, and at most {MOST_STUDY_BYTES} fit into the names of "
            "its files. Choose a shorter one."
        )
    if name.endswith(REDUCED):
        raise UserError(
            f"{where}: the name ends with '{REDUCED}', by which gengap calls a {what} with its `reduced` settings. "
            "Choose another ending."
        )
    if name in RULES or name in set(rules_of_parts()):
        raise UserError(
            f"{where}: '{name}' is a rule of the workflow, so it cannot be the name of a {what}. Choose another name."
        )


def rules_of_parts() -> Iterator[str]:
    """The rules of figures and tables."""
    for kind in ("figure", "table"):
        yield from (rule_of(kind, name) for name in REGISTRY[kind])


def rule_of(kind: str, name: str) -> str:
    """The rule that makes a figure or a table."""
    return f"{kind}_{name.replace('.', '_')}"


def check_part_names(kind: str, names: Iterable[str], where: str) -> None:
    """Refuse probes, figures and tables whose names are too long for those of their files."""
    for name in names:
        if (size := len(name.encode())) > MOST_PART_BYTES:
            raise UserError(
                f"{where}: the name of the {kind} '{name}' has {size} bytes, and at most {MOST_PART_BYTES} fit into "
                "the names of its files. Move its module, or rename it."
            )


def study_files(folder: Path) -> list[Path]:
    """The files of a folder of studies or simulations.

    Raises:
        UserError: If one would go unread: with another suffix than ``.yaml``, or in a folder below.
    """
    entries = sorted(path for path in folder.glob("*") if not path.name.startswith("."))
    for path in entries:
        if path.is_dir() and (inside := next(iter(sorted(path.rglob("*.y*ml"))), None)):
            raise UserError(f"{inside}: is not read, since it lies in a folder below {folder}. Move it into {folder}.")
        if path.suffix.lower() in (".yaml", ".yml") and path.suffix != ".yaml" and path.is_file():
            raise UserError(
                f"{path}: is not read, since its name does not end with .yaml. Rename it to {path.stem}.yaml."
            )
    return [path for path in entries if path.suffix == ".yaml" and not path.is_dir()]


def study_names(folder: Path) -> list[str]:
    """Names of a folder's studies, full and reduced, without reading more of their files than this needs.

    Raises:
        UserError: If a name is wrong, or a file would go unread.
    """
    names: list[str] = []
    for path in study_files(folder):
        check_study_name(path.stem, str(path))
        names.append(path.stem)
        if _has_reduced(path):
            names.append(path.stem + REDUCED)
    return names


def _has_reduced(path: Path) -> bool:
    """Whether a study file has the key `reduced`, which in block style stands at the beginning of a line."""
    try:
        text = read_text(path)
        return bool(re.search(r"^reduced[ \t]*:", text, re.MULTILINE)) or (
            "reduced" in text and "reduced" in read_yaml(path)
        )
    except UserError:
        return False  # it is told once somebody asks for the study
