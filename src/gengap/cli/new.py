"""Writing a new part or study: a skeleton that runs, and its test, from `gengap/cli/templates`."""

import keyword
import re
from pathlib import Path

from gengap import layout, registry
from gengap.errors import UserError
from gengap.files import storage
from gengap.registry import RESERVED, ROOMS, plugins
from gengap.studies.names import check_study_name

STUDY = "study"
MOST_LETTERS = 100  # of a name, from which files and their tests are named
KINDS = (*ROOMS, STUDY)
_TEMPLATES = Path(__file__).parent / "templates"
_PACKAGE = Path("src/gengap")
_TEMPLATE_MODULE = "gengap.cli.templates"


def new(kind: str, name: str, *, plugin: bool = False) -> list[Path]:
    """Write a skeleton and its test: into the package where its source is here, else into `plugins/`.

    Args:
        kind: One of `KINDS`.
        name: Its name, and that of its file.
        plugin: Write into `plugins/` in any case.

    Returns:
        The files written.

    Raises:
        UserError: If the name is taken or cannot be one; nothing is written then.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(f"'{name}' cannot be the name of a {kind}. Use small letters, digits and _, a letter first.")
    if kind == STUDY:
        check_study_name(name, "the name")
    elif RESERVED.get(kind) == name:
        raise UserError(f"gengap itself writes a {kind} '{name}'. Choose another name.")
    if len(name) > MOST_LETTERS:
        raise UserError(f"the name has {len(name)} letters, and at most {MOST_LETTERS} fit into the names of files.")
    own = not plugin and _PACKAGE.is_dir()
    if kind == STUDY:
        part, module, template = layout.study_file(name), "", _TEMPLATES / "study.yaml"
        test = Path("tests") if own else Path(plugins.PACKAGE, "tests")
    else:
        if name in registry.REGISTRY[kind]:
            raise UserError(
                f"the {kind} '{name}' exists, in {registry.REGISTRY[kind][name].path}. Choose another name."
            )
        room = ROOMS[kind]
        part = (_PACKAGE if own else plugins.folder()) / room / f"{name}.py"
        module = ".".join(["gengap" if own else plugins.PACKAGE, *room.split("/"), name])
        template = _TEMPLATES / f"{kind}.py"
        test = Path("tests", "training" if room.startswith("training") else room)
        if not own:
            test = Path(plugins.PACKAGE, "tests")
    test = test / f"test_{name}_{kind}.py"
    for path in (part, test):
        if path.exists():
            raise UserError(f"{path}: exists already. Choose another name, or remove the file.")
    texts = {part: template, test: _TEMPLATES / f"test_{kind}.py"}
    for path, source in texts.items():
        text = source.read_text(encoding="utf-8")
        text = text.replace(f"{_TEMPLATE_MODULE}.{kind}", module).replace("NAME", name)
        storage.write_text(path, _sorted_imports(text))
    return list(texts)


def _sorted_imports(text: str) -> str:
    """The text with its imports from this package in order again: the template's module had another name."""
    lines = text.split("\n")
    places = [at for at, line in enumerate(lines) if re.match(r"from (gengap|plugins)\b", line)]
    for at, line in zip(places, sorted((lines[at] for at in places), key=lambda one: one.split()[1]), strict=True):
        lines[at] = line
    return "\n".join(lines)
