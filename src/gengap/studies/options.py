"""A part's own options: declared in its header, checked here, and read as attributes of its settings."""

import functools
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails

from gengap import registry
from gengap.errors import UserError
from gengap.registry import plugins
from gengap.registry.entry import Option

_LITERAL: Any = Literal  # of words that are known when the program runs
_TUPLE: Any = tuple
_TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "axis": str,
    "epoch": float,
    "floats": Annotated[tuple[float, ...], Field(strict=False)],
    "strs": Annotated[tuple[str, ...], Field(strict=False)],
    "quantities": Annotated[tuple[str, ...], Field(strict=False)],
}


class Settings(BaseModel):
    """Frozen, strict (`1e-3` is text in YAML, and is refused), closed to unknown keys and to numbers not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class PartSettings(Settings):
    """Settings of a part that the registry knows.

    Fields are the settings that the parts of its kind share. What a part's header declares beside them is kept where
    it differs from its default, and read as an attribute: ``settings.points``.
    """

    model_config = ConfigDict(extra="allow")  # checked by `_check_own`
    kind: ClassVar[str]  # table of the registry
    named_by: ClassVar[str] = "name"  # the field that names the part

    @property
    def part(self) -> str:
        """Registered name of the part."""
        name: str = getattr(self, self.named_by)
        return name

    def __getattr__(self, key: str) -> Any:
        """An option of the part's own: what the study says, or its default."""
        given = object.__getattribute__(self, "__pydantic_extra__") or {}
        if key in given:
            return given[key]
        if not key.startswith("_") and key in (own := own_options(self.kind, self.part)):
            return own[key].default
        raise AttributeError(f"{self.kind} '{self.part}' has no option '{key}'; its header declares what it has")

    @model_validator(mode="after")
    def _check_own(self) -> "PartSettings":
        given = self.__pydantic_extra__ or {}
        if not given:
            return self
        own = own_options(self.kind, self.part)  # first: it makes the registry know an import path
        declared = known_options(self.kind)
        if unknown := [key for key in given if key not in declared]:
            raise _refused(type(self).__name__, unknown, given)
        checked = _model(self.kind, self.part).model_validate({key: given[key] for key in given if key in own})
        for key in own:
            if key in given:
                given[key] = getattr(checked, key)
                if given[key] == own[key].default:
                    del given[key]
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        schema["additionalProperties"] = False
        for key, option in known_options(cls.kind).items():
            fields: dict[str, Any] = {key: _field(option)}
            schema["properties"].setdefault(
                key, create_model("Option", **fields).model_json_schema()["properties"][key]
            )
        return schema


def own_options(kind: str, name: str) -> Mapping[str, Option]:
    """What a part's header declares; nothing for a name that the registry does not know."""
    if name not in registry.REGISTRY[kind] and plugins.find(name) is None:
        return {}
    return registry.check(kind, name).options


def check_reads(section: type[PartSettings], name: str) -> None:
    """Refuse a header that names a shared setting which its kind does not have.

    Raises:
        UserError: With file and key.
    """
    entry = registry.check(section.kind, name)
    shared = [key for key in section.model_fields if key != section.named_by]
    for key in entry.reads:
        if key not in shared:
            raise UserError(
                f"{entry.path}: PART: reads: '{key}' is no setting that every {section.kind} shares. "
                f"Choose from: {', '.join(shared)}; or declare it under `options`."
            )


def known_options(kind: str) -> dict[str, Option]:
    """What the headers of all parts of a kind declare: a grid over names may give each its own options."""
    return {key: option for entry in registry.REGISTRY[kind].values() for key, option in entry.options.items()}


@functools.cache
def _model(kind: str, name: str) -> type[BaseModel]:
    fields: dict[str, Any] = {key: _field(option) for key, option in own_options(kind, name).items()}
    return create_model(name, __config__=ConfigDict(strict=True, allow_inf_nan=False), **fields)


def _field(option: Option) -> tuple[Any, Any]:
    """A pydantic field as `create_model` takes it."""
    limits = {key: value for key in ("ge", "gt", "le", "lt") if (value := getattr(option, key)) is not None}
    annotation: Any = Annotated[_TYPES[option.type], Field(**limits)] if option.type else None
    if option.step is not None:
        annotation = Annotated[annotation, AfterValidator(functools.partial(_stepped, option.ge or 0, option.step))]
    if option.choices:
        words = _LITERAL[option.choices]
        if option.type == "strs":
            annotation = Annotated[_TUPLE[words, ...], Field(strict=False, min_length=1), AfterValidator(_once)]
        else:
            annotation = annotation | words if option.type else words
    if option.default is None:
        annotation = annotation | None
    return annotation, Field(option.default, description=option.meaning)


def _once(words: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a word that is listed twice."""
    if repeated := next((word for word in words if words.count(word) > 1), ""):
        raise ValueError(f"'{repeated}' appears twice; remove one")
    return words


def _stepped(least: float, step: int, value: float) -> float:
    """Refuse a value that is not a whole number of steps from the least."""
    if (value - least) % step:
        listed = ", ".join(f"{least + step * number:g}" for number in range(4))
        raise ValueError(f"choose from {listed}, ..., {step} apart")
    return value


def _refused(title: str, keys: list[str], given: Mapping[str, Any]) -> ValidationError:
    """What pydantic says of keys that a closed model does not have."""
    found = [InitErrorDetails(type="extra_forbidden", loc=(key,), input=given[key]) for key in keys]
    return ValidationError.from_exception_data(title, found)
