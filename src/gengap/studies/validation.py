"""Reading YAML and checking it against the settings: every mistake becomes one line that says how to correct it."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from gengap import registry
from gengap.errors import UserError
from gengap.studies.options import PartSettings, check_reads, known_options
from gengap.studies.schema import Component, Settings, unfit_sign

T = TypeVar("T", bound=Settings)


class _UniqueKeys(yaml.SafeLoader):
    """YAML as `safe_load` reads it, but of two equal keys the second is an error, not the winner."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                line = node.value[number][0].start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: the key '{key}' is given twice")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values, plain data only; raise a `UserError` that names the file."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold keys and values; see docs/adding.md for an example.")
    return content


def check_renamed(content: Mapping[str, Any], path: Path) -> None:
    """Refuse keys of earlier versions by their new names."""
    for old, new in {"reference": "published"}.items():
        if old in content:
            raise UserError(f"{path}: {old}: this key is called `{new}` now. Write `{new}:` in its place.")


def check_file_name(path: Path) -> None:
    """Refuse a study's file whose name cannot be part of the paths of its results."""
    if sign := unfit_sign(path.stem):
        raise UserError(f"{path}: {sign!r} cannot stand in the name of a study, a part of paths. Rename the file.")


def validate(model: type[T], content: Any, where: str) -> T:
    """Turn plain data into settings.

    Args:
        model: Class of the settings.
        content: Plain data.
        where: File, and place in it, that each line of the message starts with.

    Raises:
        UserError: One line per mistake: key, value, what is allowed.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(_explain(model, detail, where) for detail in error.errors())) from error


def check_names(kind: str, names: Sequence[str], where: str) -> None:
    """Check that every name is registered and listed once.

    Args:
        kind: Table of the registry.
        names: A list in a study's file.
        where: File and key, that the message starts with.

    Raises:
        UserError: If one is unknown or appears twice.
    """
    for name in names:
        registry.check(kind, name, where=where)
        if names.count(name) > 1:
            raise UserError(f"{where}: '{name}' appears twice. Remove one.")


def check_parts(kind: str, given: Iterable[Any], parts: Sequence[Component], path: Path) -> None:
    """Check the probes, figures or tables that a file lists.

    Args:
        kind: Table of the registry.
        given: The list as the file has it.
        parts: The same, checked by itself.
        path: The file, for messages.

    Raises:
        UserError: If a name is unknown or appears twice, which a probe may, or a part does not read an option that is
            given.
    """
    names = [part.name for part in parts]
    check_names(kind, list(dict.fromkeys(names)) if kind == "probe" else names, f"{path}: {kind}s")
    for keys, part in zip(given, parts, strict=True):
        entry = registry.check(kind, part.name)
        check_reads(type(part), part.name)
        always = ("epochs", "batchnorm") if kind == "probe" else ()
        known = (*always, *entry.reads, *entry.options)
        for key in keys if isinstance(keys, Mapping) else ():
            if key != "name" and key not in known:
                uses = ", ".join(known) or "no options"
                raise UserError(f"{path}: {kind}s: {key}: '{part.name}' does not use it. It uses: {uses}.")


def _explain(model: type[Settings], detail: Any, where: str) -> str:
    """One line for one of pydantic's findings."""
    parts = [str(part) for part in detail["loc"]]
    key, value, kind = ".".join(parts), detail["input"], detail["type"]
    if kind == "extra_forbidden":
        allowed = _fields_at(model, parts[:-1])
        near = difflib.get_close_matches(parts[-1], allowed, n=1, cutoff=0.5)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        return f"{where}{key}: unknown key.{hint} Allowed: {', '.join(sorted(allowed))}."
    if kind == "missing":
        return f"{where}{key}: is missing."
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return (
            f"{where}{key}: {value!r} is text, not a number: YAML reads an exponent as a number only with a decimal "
            f"point and a sign. Write {float(value)!r} or {_yaml_number(value)}."
        )
    return f"{where}{key}: {value!r} is not allowed: {detail['msg'][0].lower()}{detail['msg'][1:]}."


def _yaml_number(text: str) -> str:
    mantissa, exponent = re.split("[eE]", text)
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"


def _fields_at(model: type[Settings], parts: Iterable[str]) -> list[str]:
    fields = model.model_fields
    for part in parts:
        if part not in fields:
            continue
        annotation = fields[part].annotation
        for kind in (annotation, *getattr(annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, Settings):
                model, fields = kind, kind.model_fields
    own = known_options(model.kind) if issubclass(model, PartSettings) else ()
    return [*fields, *own]
