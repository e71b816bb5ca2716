"""The command `gengap init`: an empty folder becomes a lab, with studies of its own and gengap's workflow."""

import argparse
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gengap import installation, layout
from gengap.errors import UserError
from gengap.files import storage
from gengap.files.paths import check_writable
from gengap.studies import editor_schema

_TEMPLATES = Path(__file__).parent / "lab"
# What stands in a lab as it stands in gengap's own project, and what a lab has of its own.
_COPIED = (
    layout.CONFIG,
    layout.study_file("quickstart"),
    layout.PROFILE,
    layout.PLUGINS / "README.md",
    layout.DVC / "plots" / "curves.json",
    layout.DVC / "plots" / "final.json",
)
_WRITTEN = {
    Path("Snakefile"): "Snakefile",
    Path("Makefile"): "Makefile",
    Path("README.md"): "README.md",
    Path("first_look.ipynb"): "first_look.ipynb",
    Path(".gitignore"): "gitignore",
    Path(".dvcignore"): "dvcignore",
    layout.DVC / "config": "dvcconfig",
    layout.study_file("my_question"): "my_question.yaml",
}
_DVC_OWN = "/config.local\n/tmp\n/cache\n"
_VERSIONS = str(layout.PACKAGE / "versions.py")


def add_parser(commands: Any) -> None:
    """Add the command to those of `gengap`."""
    text = "Make a lab of a new or empty folder: workflow, configuration, two studies"
    command = commands.add_parser("init", help=text, description=text + ".")
    command.set_defaults(run=run)
    command.add_argument("folder", nargs="?", default=".", metavar="FOLDER", type=Path, help="default: this folder")


def run(options: argparse.Namespace) -> None:
    """Make the lab and say what to do next.

    Raises:
        UserError: If it is no folder or cannot be written, or holds one of its files already; nothing is written then.
    """
    folder: Path = options.folder
    check_writable(folder)
    texts = dict(_texts())
    if taken := next((folder / path for path in texts if (folder / path).exists()), None):
        raise UserError(f"{taken}: exists already, and `gengap init` replaces nothing. Name a new folder.")
    for path, text in texts.items():
        storage.write_text(folder / path, text)
    installation.link(folder)
    repository = _git(folder)
    print(f"Made a lab in {folder.resolve()}, with the studies quickstart and my_question. Next:")
    print("\n".join(f"  {line}" for line in ([f"cd {folder}"] if folder != Path() else []) + ["make run"]))
    if not repository:
        print("git is not installed, so DVC cannot version results: install it, and run `git init` here.")


def _texts() -> Iterator[tuple[Path, str]]:
    """Every file of a lab, by its path, and what it holds."""
    for path in _COPIED:
        yield path, (installation.PROJECT / path).read_text(encoding="utf-8")
    for path, template in _WRITTEN.items():
        yield path, (_TEMPLATES / template).read_text(encoding="utf-8")
    yield layout.STUDY_SCHEMA, editor_schema.text()
    yield layout.DVC / ".gitignore", _DVC_OWN
    yield layout.DVC_STAGES, _stages()
    for empty in (layout.SIMULATIONS, layout.PUBLISHED):  # DVC depends on these folders
        yield empty / ".gitkeep", ""


def _stages() -> str:
    """DVC's stages of a lab: gengap's own, but for its code, which `gengap jobs` lists wherever it is installed."""
    content = yaml.safe_load((installation.PROJECT / layout.DVC_STAGES).read_text(encoding="utf-8"))
    for stage in content["stages"].values():
        one = stage.get("do", stage)
        one["params"] = [entry for entry in one.get("params", ()) if _VERSIONS not in entry]
        if not one["params"]:
            del one["params"]
    jobs = content["stages"]["jobs"]
    inside = (layout.STUDIES, layout.SIMULATIONS, layout.PUBLISHED, layout.PLUGINS)
    jobs["deps"] = [str(path) for path in inside]
    jobs["always_changed"] = True  # gengap may be another version than before
    text = yaml.safe_dump(content, sort_keys=False, width=120)
    return f"# The studies of {layout.CONFIG} as stages of DVC, for `make repro`; see `gengap jobs --help`.\n{text}"


def _git(folder: Path) -> bool:
    """Let the folder be in a git repository, which DVC needs; False if there is no git."""
    if shutil.which("git") is None:
        return False
    inside = ["git", "-C", str(folder), "rev-parse", "--is-inside-work-tree"]
    if subprocess.run(inside, capture_output=True).returncode:
        subprocess.run(["git", "-C", str(folder), "init", "--quiet"], check=True)
    return True
