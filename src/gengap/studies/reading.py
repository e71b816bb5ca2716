"""Reading YAML as what its writer meant: plain data, or one sentence that names the line and says what to write.

PyYAML reads YAML 1.1, where ``no`` is false, ``1:30`` is 90 and ``010`` is 8. Editors and people read YAML 1.2, so what
the two versions read differently is refused. Settings that differ from what was meant would train other networks.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gengap.errors import UserError

MOST_BYTES = 16 * 2**20  # of a file, before it is read
MOST_NODES = 1_000_000  # keys and values, aliases written out: a few lines of them can stand for billions

_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + kind for kind in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values, plain data only.

    Raises:
        UserError: If it cannot be read, is not valid, gives a key twice, or is read in another way than it looks.
    """
    text = read_text(path)
    try:
        loader = yaml.SafeLoader(text)
        top = loader.get_single_node()
        if not isinstance(top, yaml.MappingNode):
            raise UserError(f"{path}: must hold keys and values; see docs/adding.md for an example.")
        _check_size(top, path)
        for place, mistake in _mistakes(top, "", set()):
            raise UserError(f"{path}: {place}: {mistake}")
        return dict(loader.construct_document(top))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not valid YAML: {_sentence(error)}.") from error
    except RecursionError as error:
        raise UserError(f"{path}: is not valid YAML: it is nested too deeply. Write fewer levels.") from error
    except ValueError as error:  # a number with thousands of digits
        raise UserError(f"{path}: holds a number that cannot be read ({error}). Correct it.") from error


def read_text(path: Path) -> str:
    """Read a text file that is not too long.

    Raises:
        UserError: If it cannot be read, is no text, or is too long.
    """
    try:
        if path.exists() and (not path.is_file() or path.stat().st_size > MOST_BYTES):
            raise UserError(f"{path}: is no text file of at most {MOST_BYTES:,} bytes, and longer ones are not read.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not text in UTF-8 ({error}). Save it as UTF-8.") from error


def _sentence(error: yaml.YAMLError) -> str:
    """What the parser says, in one line that begins with the line's number."""
    said = " ".join(str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).split())
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    hint = " (indent by spaces, not by tabs)" if "'\\t'" in said else ""
    return f"line {mark.line + 1}: {said}{hint}" if mark else said


def _check_size(top: yaml.Node, path: Path) -> None:
    """Refuse aliases that contain themselves, or that stand for more than anybody writes."""
    sizes: dict[int, int] = {}
    inside: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in inside:
            raise UserError(f"{path}: line {_line(node)}: an anchor contains itself. Write its value out.")
        if id(node) not in sizes:
            inside.add(id(node))
            sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
            inside.remove(id(node))
        return sizes[id(node)]

    if (total := size(top)) > MOST_NODES:
        raise UserError(
            f"{path}: holds {total:,} keys and values with its aliases written out, and at most {MOST_NODES:,} are "
            "read. Write a range such as 0..9 in place of a long list, or fewer aliases."
        )


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    for child in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from child if isinstance(child, tuple) else (child,)


def _mistakes(node: yaml.Node, place: str, seen: set[int]) -> Iterator[tuple[str, str]]:
    """Where something is given twice or is read in another way than it looks, and what to say of it."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if said := _surprise(node):
        yield f"line {_line(node)}: {place}", said
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if said := _unfit_key(key) or _repeated(key, keys):
                yield f"line {_line(key)}", said
                continue
            keys.add(key.value)
            inner = place if key.value == "<<" else f"{place}.{key.value}".lstrip(".")
            yield from _mistakes(value, inner, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _mistakes(value, place, seen)


def _repeated(key: yaml.Node, keys: set[str]) -> str:
    if key.value not in keys:
        return ""
    if key.value == "<<":
        return "the key '<<' is given twice. Merge several mappings by a list: <<: [*first, *second]."
    return f"the key '{key.value}' is given twice. Remove one."


def _unfit_key(key: yaml.Node) -> str:
    """Why a node is no key: one that is read as something else would be named in messages as nobody wrote it."""
    if not isinstance(key, yaml.ScalarNode):
        return "a key must be text, not a list or a mapping."
    text = str(key.value)
    if key.tag in (_TAG + "str", _TAG + "merge") or (key.tag == _TAG + "int" and re.fullmatch("0|[1-9][0-9]*", text)):
        return ""
    read = {"bool": str(text.lower() in ("true", "yes", "on")).lower(), "null": "null"}.get(
        key.tag.removeprefix(_TAG), "a number or a date"
    )
    return f"the key {text or 'that is empty'} is read as {read}, not as text. Write '{text}': ..."


def _surprise(node: yaml.Node) -> str:
    """What YAML 1.1 makes of a value that looks like another, and what to write; empty if it is what it looks like."""
    if not isinstance(node, yaml.ScalarNode) or node.style is not None:
        return "" if node.tag in _PLAIN else _foreign(node)
    text, kind = str(node.value), node.tag.removeprefix(_TAG)
    if kind == "bool" and text.lower() not in ("true", "false"):
        value = "true" if text.lower() in ("yes", "on") else "false"
        return f"{text} is read as {value}. Write {value}; or '{text}' in quotes, if the word is meant."
    if kind in ("int", "float") and ":" in text:
        number = yaml.safe_load(text)
        return f"{text} is read to the base 60, as {number}. Write {number}; or '{text}' in quotes, if text is meant."
    if re.fullmatch(r"[-+]?0[0-9_]+", text):
        digits = text.replace("_", "")
        octal = f" to the base 8, as {int(digits, 8)}" if kind == "int" else " as text"
        return f"{text} is read{octal}. Write {int(digits)} without leading zeros, or '{text}' in quotes for text."
    if re.fullmatch(r"[-+]?0b[01_]+", text):
        return f"{text} is read to the base 2, as {yaml.safe_load(text)}. Write that, or '{text}' in quotes for text."
    if kind in ("timestamp", "value"):
        return f"{text} is read as {'a date' if kind == 'timestamp' else 'a tag'}. Write '{text}' in quotes."
    return "" if node.tag in _PLAIN else _foreign(node)


def _foreign(node: yaml.Node) -> str:
    return f"the tag {node.tag} is not allowed: only text, numbers, true, false, null, lists and keys are. Remove it."


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
