"""Where data are looked for, which project a file belongs to, and whether results can be written."""

import os
from collections.abc import Iterator
from pathlib import Path

from gengap import layout
from gengap.errors import UserError

DATA_ROOT_VARIABLE = "GENGAP_DATA_ROOT"


def data_root(configured: str | Path) -> Path:
    """The folder of the raw datasets: `GENGAP_DATA_ROOT` if it is set, else the configured one."""
    return Path(os.environ.get(DATA_ROOT_VARIABLE) or configured).expanduser()


def project_of(path: Path) -> Path:
    """The top of the project that a file belongs to: above the file, above here, or above where a link leads.

    Args:
        path: A file, from the working folder or absolute, which need not exist.

    Raises:
        UserError: If there is none.
    """
    named = _absolute(path)
    for start in (named, Path.cwd(), named.resolve()):
        for folder in (start, *start.parents):
            if (folder / layout.CONFIG).is_file():
                return folder
    raise UserError(f"{path}: lies outside of any project: no folder above it has {layout.CONFIG}.")


def from_top(path: Path, project: Path) -> Path:
    """A file's path from the project's top, by which jobs know it, whichever links lead to it.

    Results, data or the store may be links to another disk, and a file may be named by its place there.

    Args:
        path: The file, from the working folder or absolute.
        project: The project's top.

    Raises:
        UserError: If it lies outside the project.
    """
    named, top = _absolute(path), _absolute(project)
    real = named.resolve()
    made = [top / folder for folder in (layout.RESULTS, layout.DATA, layout.PRIVATE)]
    if any(named.is_relative_to(folder) for folder in made):
        return named.relative_to(top)
    for place in (*made, top, *(link for folder in made for link in _linked_folders(folder))):
        if real.is_relative_to(place.resolve()):
            return place.relative_to(top) / real.relative_to(place.resolve())
    raise UserError(f"{path}: lies outside the project {top}. Name a file below {layout.RESULTS} or {layout.DATA}.")


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, in order, also where links lead to other folders; none if it does not exist."""
    for top, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        yield from (Path(top) / name for name in sorted(names))


def _linked_folders(folder: Path) -> Iterator[Path]:
    for top, folders, _ in os.walk(folder):
        yield from (Path(top) / name for name in sorted(folders) if (Path(top) / name).is_symlink())


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  # not `resolve`, which follows links


def check_writable(folder: Path) -> None:
    """Find out before any job whether files can be made in a folder, which need not exist yet.

    Raises:
        UserError: If a file is in the way, or the folder cannot be written.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if missing := next((path for path in (folder, *folder.parents) if path.is_symlink() and not path.exists()), None):
        raise UserError(
            f"{missing}: is a link to {missing.readlink()}, which does not exist. Make it, or remove the link."
        )
    if not existing.is_dir():
        raise UserError(f"{folder}: a file is in the way of this folder. Move it away.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(
            f"{folder}: cannot be written. Make {existing} writable, or run a copy of the project elsewhere."
        )
