"""What settings are made of: kinds of values, and the classes that all settings derive from."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic_core import CoreSchema

from gengap import escaping
from gengap.studies.options import PartSettings, Settings

__all__ = [
    "ClassName",
    "Component",
    "Count",
    "Epochs",
    "Fraction",
    "Names",
    "Positive",
    "Settings",
    "Text",
    "write_out",
]


def _visible(text: str) -> str:
    if sign := escaping.invisible(text):
        raise ValueError(f"{sign!a} is a character that is not seen; remove it")
    return text


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, AfterValidator(_visible)]
Names = Annotated[tuple[str, ...], Field(strict=False)]


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


def path_name(name: str) -> str:
    """A name of cells as it stands in a path: ``rows=6,columns=4`` is ``rows=6_columns=4`` there."""
    return name.replace(",", "_")


def _fit_for_paths(name: str | int) -> str | int:
    """A class's name becomes part of file and cell names, which are spelled with , = and +."""
    if sign := unfit_sign(str(name), also="=+"):
        raise ValueError(f"{sign!r} cannot stand in the name of a cell; give the class's number instead")
    return name


ClassName = Annotated[str | int, AfterValidator(_fit_for_paths)]


def write_out(values: Any) -> Any:
    """A range such as ``0..9`` as a list; anything else as it is."""
    if isinstance(values, str) and (match := re.fullmatch(r"(\d+)\.\.(\d+)", values)):
        return list(range(int(match[1]), int(match[2]) + 1))
    return values


# Epochs; a range such as 0..9 is short for each of them.
_LISTED = {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string", "pattern": r"^\d+\.\.\d+$"}]}
Epochs = Annotated[
    tuple[float, ...], BeforeValidator(write_out), Field(strict=False), WithJsonSchema(_LISTED, mode="validation")
]


class Component(PartSettings):
    """Settings of something that the registry knows by name; `init: he` is short for `init: {name: he}`."""

    name: str

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, super().__get_pydantic_json_schema__(core, handler)]}
