"""Checking plain data against the settings: every mistake becomes one line that says how to correct it."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gengap import registry
from gengap.errors import UserError, hint, spelled
from gengap.registry import allowed
from gengap.studies.options import check_reads
from gengap.studies.schema import Component, Settings
from gengap.studies.settings import allowed_options, not_used

T = TypeVar("T", bound=Settings)

# Keys of a file that say something of its numbers, or how they are computed.
_CHANGE_NO_NUMBER = {"title", "question", "source", "choices", "full_on", "pack_size", "until"}


def validate(model: type[T], content: Any, where: str, *, also: Sequence[str] = ()) -> T:
    """Turn plain data into settings.

    Args:
        model: Class of the settings.
        content: Plain data.
        where: File, and place in it, that each line of the message starts with.
        also: Keys that the file may have beside those of the settings.

    Raises:
        UserError: One line per mistake: key, value, what is allowed.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(
            "\n".join(_explanations(model.model_json_schema(), error.errors(), where, content, also))
        ) from error


def check_reduced(overrides: Any, path: Path) -> None:
    """Refuse a `reduced` section that is no mapping."""
    if not isinstance(overrides, Mapping):
        raise UserError(
            f"{path}: reduced: must hold keys and values, got {spelled(overrides)}. Write what differs from the full "
            "settings, or remove it."
        )


def check_changed(full: Mapping[str, Any], replaced: Mapping[str, Any], path: Path) -> None:
    """Refuse a `reduced` section that changes no number: the same networks would stand twice, under two names."""
    if all(replaced.get(key) == full.get(key) for key in {*replaced, *full} - _CHANGE_NO_NUMBER):
        raise UserError(f"{path}: reduced: changes nothing. Write what differs from the full settings, or remove it.")


@contextmanager
def reduced_section(path: Path, *, applied: bool = True) -> Iterator[None]:
    """Say of a mistake that it comes with the `reduced` section, if that is applied: the file is right without it."""
    try:
        yield
    except UserError as error:
        if not applied:
            raise
        lines = [
            line if line.startswith(f"{path}: reduced") else line.replace(f"{path}: ", f"{path}: reduced: ", 1)
            for line in str(error).splitlines()
        ]
        raise UserError("\n".join(lines)) from error


def check_renamed(content: Mapping[str, Any], path: Path) -> None:
    """Refuse keys of earlier versions by their new names."""
    for old, new in {"reference": "published"}.items():
        if old in content:
            raise UserError(f"{path}: {old}: this key is called `{new}` now. Write `{new}:` in its place.")


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
    check_once(names, where)


def check_once(names: Sequence[str], where: str) -> None:
    """Refuse a list that has a name twice."""
    for name in names:
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
        check_reads(type(part), part.name)
        known = allowed_options(kind, part.name)
        for key in keys if isinstance(keys, Mapping) else ():
            if key != "name" and key not in known:
                raise UserError(f"{path}: {kind}s: {key}: {not_used(kind, part.name, key, type(part).model_fields)}")


def _explanations(
    whole: allowed.Schema, findings: Iterable[Any], where: str, content: Any, also: Sequence[str]
) -> Iterable[str]:
    """One line for each key that pydantic found a mistake at; it names every branch of a union by itself."""
    lines: dict[str, str] = {}
    for finding in findings:
        parts = list(finding["loc"])
        if finding["type"] == "extra_forbidden":
            at, schema = allowed.place(whole, parts[:-1])
            key = f"{at}.{parts[-1]}".lstrip(".")
            part, name = _part(content, parts[:-1])
            if part and name and not registry.known(part, name):  # of which no option is known either
                lines.setdefault(at, str(registry.unknown(part, name, where=f"{where}{at}")))
                continue
            known = _known_keys(part, name) or sorted([*allowed.keys(schema), *(() if at else also)])
            lines.setdefault(key, f"{where}{key}: {_unknown_key(str(parts[-1]), finding['input'], whole, known)}")
            continue
        if finding["type"] == "invalid_key":
            at, _ = allowed.place(whole, parts[:-1])
            lines.setdefault(
                f"{at}.{parts[-1]}", f"{where}{at or 'keys'}: {parts[-1]!r} is a number, and no key is one."
            )
            continue
        key, schema = allowed.place(whole, parts)
        if finding["type"] == "missing":
            lines.setdefault(key, f"{where}{key}: is missing. It must be {allowed.words(schema)}.")
            continue
        line = f"{where}{key}{': ' if key else ''}{_not_allowed(finding, schema)}"
        if key not in lines or finding["type"] == "value_error":  # a check of our own says more than a type does
            lines[key] = line
    # Of a list that may also be a word, the item that is wrong says more than that a list is no word.
    return [line for key, line in lines.items() if not any(other.startswith(f"{key}[") for other in lines)]


def _part(content: Any, place: Sequence[int | str]) -> tuple[str, str]:
    """The kind of the part that is described at a place, and its name; empty if there is none."""
    for step in place:
        if not isinstance(content, (Mapping, list)):
            return "", ""
        content = content[step]  # type: ignore[index]
    section = next((step for step in reversed(place) if isinstance(step, str)), "")
    kind = section if section in registry.REGISTRY else section.removesuffix("s")
    name = content.get("name") if isinstance(content, Mapping) else None
    return (kind, name) if kind in registry.REGISTRY and isinstance(name, str) else ("", "")


def _known_keys(kind: str, name: str) -> list[str]:
    """The keys of a part, not those of all parts of its kind; empty if there is none."""
    return sorted({"name", *allowed_options(kind, name)}) if kind else []


def _unknown_key(key: str, value: Any, whole: allowed.Schema, known: Sequence[str]) -> str:
    near = hint(key, known)
    if not near and value is None and re.fullmatch(r"\w+:.+", key):
        near = " A space is missing after the colon."
    if not near:
        owners = [section for section, keys in _sections(whole).items() if key in keys]
        near = f" It is a key of '{owners[0]}'." if len(owners) == 1 else ""
    section = key.partition(".")[0]
    if not near and "base" in allowed.keys(whole) and section in allowed.keys(allowed.place(whole, ["base"])[1]):
        near = " Write it below 'base'."
    if not near and "base" in allowed.keys(whole) and key in allowed.keys(whole):
        near = " Write it at the left margin, beside 'base'."
    return f"unknown key.{near} Allowed: {', '.join(known)}."


def _sections(whole: allowed.Schema) -> Mapping[str, Sequence[str]]:
    """The keys of every section of some settings, by its name."""
    sections = {name: allowed.keys(allowed.place(whole, [name])[1]) for name in allowed.keys(whole)}
    if "base" in sections:
        sections = {f"base.{name}": allowed.keys(allowed.place(whole, ["base", name])[1]) for name in sections["base"]}
    return sections


def _not_allowed(finding: Any, schema: allowed.Schema) -> str:
    value = finding["input"]
    if isinstance(value, str) and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", value):
        whole = float(value).is_integer() and "a whole number" in allowed.words(schema)
        write = str(int(float(value))) if whole else f"{float(value)!r} or {_yaml_number(value)}"
        return (
            f"{value!r} is text, not a number: YAML reads an exponent as a number only with a decimal point and a "
            f"sign. Write {write}."
        )
    shown = spelled(value)
    if finding["type"] == "value_error":
        return f"{shown} is not allowed: {finding['ctx']['error']}."
    finite = "finite, and " if isinstance(value, float) and not math.isfinite(value) else ""
    said = f"{shown} is not allowed: it must be {finite}{allowed.words(schema)}."
    if isinstance(value, str) and value.isidentifier() and allowed.listed(schema, value):
        return f"{said} Write [{value}]."
    if isinstance(value, str) and "number" in allowed.words(schema) and _is_number(value):
        return f"{said} Write {value.strip()} without quotes."
    if schema.get("type") == "string" and "enum" not in schema and isinstance(value, (int, float)):
        return f"{said} Write '{shown}' in quotes, if text is meant."
    return said


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)\s*", text) is not None


def _yaml_number(text: str) -> str:
    mantissa, exponent = re.split("[eE]", text)
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"
