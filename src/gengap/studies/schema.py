"""What settings are made of: kinds of values, and the classes that all settings derive from."""

import re
import struct
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic_core import CoreSchema

from gengap import escaping
from gengap.registry import REGISTRY
from gengap.studies.names import unfit_sign
from gengap.studies.options import PartSettings, Settings

__all__ = [
    "MOST_VALUES",
    "ClassName",
    "Component",
    "Count",
    "Decay",
    "Depth",
    "Epoch",
    "Epochs",
    "Fraction",
    "Fractions",
    "Line",
    "Names",
    "NotNegative",
    "Positive",
    "Seed",
    "Settings",
    "Share",
    "SomeEpochs",
    "Text",
    "write_out",
]

MOST_VALUES = 100_000  # of a range, and cells of a study


def _visible(text: str) -> str:
    if sign := escaping.invisible(text):
        raise ValueError(f"{sign!a} is a character that is not seen; remove it")
    return text


def _one_line(text: str) -> str:
    if not text.strip() or len(text.splitlines()) > 1:
        raise ValueError("it must be one line that is not empty")
    return _visible(text.strip())


def _single_precision(value: float) -> float:
    """Networks are trained in float32, where a number that is too small is 0, and one that is too large infinite."""
    try:
        (held,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError as error:
        raise ValueError("it is infinite in float32, in which networks are trained. Write a smaller one") from error
    if value != 0 and held == 0:
        raise ValueError("it is 0 in float32, in which networks are trained. Write a larger one")
    return value


def _below_one(value: float) -> float:
    (held,) = struct.unpack("<f", struct.pack("<f", value))
    if held == 1:
        raise ValueError("it is 1 in float32, in which networks are trained. Write a smaller one")
    return value


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a number that is given twice."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{value:g} is given twice. Remove one")
        seen.add(value)
    return values


Positive = Annotated[float, Field(gt=0), AfterValidator(_single_precision)]
NotNegative = Annotated[float, Field(ge=0), AfterValidator(_single_precision)]
Decay = Annotated[float, Field(ge=0, lt=1), AfterValidator(_single_precision), AfterValidator(_below_one)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Fractions = Annotated[tuple[Fraction, ...], Field(strict=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Depth = Annotated[int, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Epoch = Annotated[float, Field(ge=0, le=10**9)]
Text = Annotated[str, AfterValidator(_visible)]
Line = Annotated[str, AfterValidator(_one_line)]
Names = Annotated[tuple[str, ...], Field(strict=False)]


def _fit_for_paths(name: str | int) -> str | int:
    """A class's name becomes part of file and cell names, which are spelled with , = and +."""
    if sign := unfit_sign(str(name), also="=+"):
        raise ValueError(f"{sign!r} cannot stand in the name of a cell; give the class's number instead")
    return name


ClassName = Annotated[str | int, AfterValidator(_fit_for_paths)]


def write_out(values: Any) -> Any:
    """A range such as ``0..9`` as a list; anything else as it is.

    Raises:
        ValueError: If the range counts down, or is longer than anybody means.
    """
    if not isinstance(values, str) or not (match := re.fullmatch(r"([0-9]{1,18})\.\.([0-9]{1,18})", values)):
        return values
    first, last = int(match[1]), int(match[2])
    if last < first:
        raise ValueError(f"it counts down and holds nothing. Write {last}..{first}")
    if (count := last - first + 1) > MOST_VALUES:
        raise ValueError(f"it holds {count:,} values, and a range at most {MOST_VALUES:,}. Write a shorter one")
    return list(range(first, last + 1))


def _listed(least: int) -> WithJsonSchema:
    numbers = {"type": "array", "minItems": least, "items": {"type": "number", "minimum": 0, "maximum": 10**9}}
    return WithJsonSchema({"anyOf": [numbers, {"type": "string", "pattern": r"^\d+\.\.\d+$"}]}, mode="validation")


# Epochs; a range such as 0..9 is short for each of them.
Epochs = Annotated[
    tuple[Epoch, ...], BeforeValidator(write_out), Field(strict=False), AfterValidator(_each_once), _listed(0)
]
SomeEpochs = Annotated[
    tuple[Epoch, ...],
    BeforeValidator(write_out),
    Field(strict=False, min_length=1),
    AfterValidator(_each_once),
    _listed(1),
]


class Component(PartSettings):
    """Settings of something that the registry knows by name; `init: he` is short for `init: {name: he}`."""

    name: str = Field(description="Registered name, or the import path of a part of your own.")

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        settings = super().__get_pydantic_json_schema__(core, handler)
        names = [{"const": name, "description": entry.summary} for name, entry in REGISTRY[cls.kind].items()]
        one_of_them = {"anyOf": [*names, {"type": "string", "description": "The import path of a part of your own."}]}
        settings["properties"]["name"] |= one_of_them
        return {"anyOf": [one_of_them, settings]}
