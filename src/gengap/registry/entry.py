"""What the header of a part says: plain data in its file, checked and typed here."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from gengap.counting import count
from gengap.errors import UserError
from gengap.registry import allowed

Listed = Annotated[tuple[str, ...], Field(strict=False)]

# Keys of a header beside `summary`, by the kind of part.
KEYS: dict[str, tuple[str, ...]] = {
    "dataset": ("label", "reads", "options", "images", "class_names", "class_sizes"),
    "labels": ("label", "reads", "options", "teacher", "streams"),
    "model": ("label", "reads", "options", "depth"),
    "init": ("label", "options"),
    "loss": ("label", "reads", "options", "teacher", "classes"),
    "optimizer": ("label", "reads", "options"),
    "schedule": ("label", "reads", "options"),
    "probe": ("reads", "options", "batchnorm", "teacher", "weights_only", "quantities", "uses", "picture"),
    "simulation": ("options", "quantities", "uses", "mem_mb"),
    "figure": ("options", "caption", "simulation", "published", "needs", "needs_until", "varies"),
    "table": ("options", "caption", "published", "needs", "needs_until", "varies"),
}


def _words(names: Any) -> Any:
    """A text of words as a list of them: a hundred names fill a page otherwise."""
    return tuple(names.split()) if isinstance(names, str) else names


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Option(_Plain):
    """One option of a part.

    Attributes:
        type: Of its values, ``axis`` for the short name of one of the study's axes, ``epoch`` for one at which weights
            are kept, ``quantities`` for names of what its probes measure; empty: only one of `choices`.
        choices: Words that it may be; with a type, beside the values of that type; with `strs`, those of the list.
        default: What it is where a study says nothing; None allows null as well.
        ge: Smallest value allowed.
        gt: Value that it must exceed.
        le: Largest value allowed.
        lt: Value that it must stay below.
        step: Distance of the values allowed, which start at `ge`; None: all between the limits.
        meaning: One sentence for docs/reference.md.
        label: What figures and tables call it; empty: its name.
        optional: Of an ``axis``: null has a meaning of its own, however many axes the study varies.
    """

    type: Literal["int", "float", "bool", "str", "floats", "strs", "quantities", "axis", "epoch", ""] = ""
    choices: Listed = ()
    default: Any
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    step: int | None = None
    meaning: str
    label: str = ""
    optional: bool = False

    @field_validator("default")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class DeclaredQuantity(_Plain):
    """A measured number; see `gengap.quantities.Quantity`, which it becomes."""

    label: str
    symbol: str = ""
    unit: str = "1"
    meaning: str
    rescaling_invariant: bool | None = None


class Picture(_Plain):
    """The picture of a probe in docs/probes.md.

    Attributes:
        quantity: What is shown, against epochs, layers or the last dimension of its array.
        along: The quantity along the horizontal axis of a curve.
        scale: Of the vertical axis.
        layers: Endings of the layers shown.
        settings: Keys of the probe where a study says `probes: all`.
    """

    quantity: str
    along: str = ""
    scale: Literal["linear", "log", "symlog"] = "linear"
    layers: Listed = ("",)
    settings: dict[str, Any] = {}


class Entry(_Plain):
    """A part, as its header describes it.

    Attributes:
        module: The module that implements it; imported only when it is used.
        path: Its file.
        external: Whether it is a user's own, from `plugins/` or an import path: its code counts in what it makes.
        summary: One sentence for the reference page.
        label: What figures and tables call it; empty: the words of gengap.evidence.words, or its name.
        reads: The options that it reads of those that parts of its kind share (gengap.studies).
        options: Its own options by name.
        batchnorm: Of a probe, the BatchNorm modes in which it means something.
        teacher: Of a label rule, whether a network labels; of a loss or a probe, whether it needs one that did.
        weights_only: Of a probe, whether it reads weights alone, so that no BatchNorm statistics are measured for it.
        streams: Of a label rule, whether its teacher labels images that training draws.
        images: Of a dataset, train and test images, channels, height and width, classes; empty: its settings say.
        class_names: Of a dataset, the names of its classes; one name: its images come without labels.
        class_sizes: Of a dataset, the train and the test images of each class; one number if all are equal.
        classes: Of a loss, the only number of classes for which it is defined; 0: any.
        depth: Of a model, what null stands for.
        quantities: Of a probe or a simulation, the quantities that it declares.
        uses: Quantities that it measures too, and others declare.
        picture: Of a probe.
        caption: Of a figure or a table, for the report; reStructuredText.
        simulation: Of a figure, the simulation that it shows; empty: it shows networks.
        published: Of a figure or a table, whether it reads published numbers.
        needs: Of a figure or a table, quantities without which it cannot be made.
        needs_until: The last epoch at which they may be measured first, or the option that says it; None: any.
        varies: Of a figure or a table, settings that the grid must vary, and how many values of each it needs.
        mem_mb: Of a simulation, the memory that one job asks for.
    """

    module: str
    path: Path
    external: bool = False
    summary: str
    label: str = ""
    reads: Listed = ()
    options: dict[str, Option] = {}
    batchnorm: Annotated[tuple[Literal["running", "batch", "exact"], ...], Field(strict=False, min_length=1)] = (
        "running",
        "batch",
        "exact",
    )
    teacher: bool = False
    weights_only: bool = False
    streams: bool = False
    images: Annotated[tuple[int, ...], Field(strict=False)] = ()
    class_names: Annotated[Listed, BeforeValidator(_words)] = ()
    class_sizes: Annotated[tuple[tuple[int, ...], ...], Field(strict=False)] = ()
    classes: int = 0
    depth: int | None = None
    quantities: dict[str, DeclaredQuantity] = {}
    uses: Listed = ()
    picture: Picture | None = None
    caption: str = ""
    simulation: str = ""
    published: bool = False
    needs: Listed = ()
    needs_until: float | str | None = None
    varies: dict[str, int] = {}
    mem_mb: int = 2000

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of all quantities that it measures."""
        return (*self.quantities, *self.uses)


def entry(kind: str, header: Any, *, module: str, path: Path, external: bool) -> Entry:
    """Check one header.

    Args:
        kind: Kind of the part.
        header: What its file says, plain data.
        module: Its module.
        path: Its file, for messages.
        external: Whether it is a user's own.

    Raises:
        UserError: In one sentence per mistake, with file and key.
    """
    if not isinstance(header, dict):
        raise UserError(f"{path}: PART: must hold keys and values, got {header!r}.")
    keys = ("summary", *KEYS[kind])
    if unknown := [key for key in header if key not in keys]:
        raise UserError(f"{path}: PART: {unknown[0]!r} is no key of a {kind}. Allowed: {', '.join(keys)}.")
    try:
        made = Entry(**header, module=module, path=path, external=external)
    except ValidationError as error:
        lines = dict.fromkeys(_told(mistake["loc"], mistake) for mistake in error.errors())
        raise UserError("\n".join(f"{path}: PART: {line}" for line in lines)) from error
    for key in made.options:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", key) or key in RESERVED:
            raise UserError(f"{path}: PART: options.{key}: cannot be the name of an option. Choose another.")
    for told in (
        *_odd_data(made),
        *(told for key, option in made.options.items() for told in _odd_option(key, option)),
    ):
        raise UserError(f"{path}: PART: {told}")
    return made


def _told(location: tuple[int | str, ...], mistake: Any) -> str:
    """One of pydantic's findings in words of ours."""
    key, schema = allowed.place(Entry.model_json_schema(), location)
    if mistake["type"] == "missing":
        return f"{key}: is missing. It must be {allowed.words(schema)}."
    if mistake["type"] == "extra_forbidden":
        return f"{'.'.join(map(str, location))}: unknown key. Remove it."
    if mistake["type"] == "value_error":
        return f"{key}: {mistake['ctx']['error']}."
    return f"{key}: {mistake['input']!r} is not allowed: it must be {allowed.words(schema)}."


def _odd_data(made: Entry) -> Iterator[str]:
    """What is wrong with the sizes of a dataset, of which `gengap check` computes."""
    names, classes = made.class_names, made.images[4] if len(made.images) == len(_IMAGES) else 0
    if made.images and (not classes or min(made.images) < 1):
        yield f"images: {made.images} is not allowed: it must be whole numbers from 1: {', '.join(_IMAGES)}."
    if repeated := next((name for name in names if names.count(name) > 1), ""):
        yield f"class_names: '{repeated}' appears twice. Remove one."
    if classes and len(names) not in (0, 1, classes):
        said = count(classes, "class", "classes")
        yield f"class_names: has {count(len(names), 'name')}, and images says {said}. Correct one of them."
    for counts, total, what in zip(made.class_sizes, made.images, ("train", "test"), strict=False):
        if len(counts) not in (1, classes) or sum(counts) * (classes if len(counts) == 1 else 1) != total:
            yield (
                f"class_sizes: {counts} are not the {total:,} {what} images of {classes} classes. Give the number of "
                "each class, or one number if all are equal."
            )
    if len(made.class_sizes) not in (0, 2):
        yield "class_sizes: must be two lists, of train and of test images."


def _odd_option(key: str, option: Option) -> Iterator[str]:
    """Why an option could not have its own default."""
    limits = {
        limit: value for limit in ("ge", "gt", "le", "lt", "step") if (value := getattr(option, limit)) is not None
    }
    default = option.default
    if not option.type and not option.choices:
        yield f"options.{key}.type: is missing. Give a type, or choices."
    if limits and option.type not in ("int", "float", "epoch"):
        yield f"options.{key}.{next(iter(limits))}: is a limit of numbers, and the type is '{option.type}'. Remove it."
    if (step := option.step) is not None and step < 1:
        yield f"options.{key}.step: {step} is not allowed: it must be a whole number from 1."
    words = default if option.type == "strs" and isinstance(default, tuple) else (default,)
    if default is None or (option.choices and all(word in option.choices for word in words)):
        return
    kinds = _DEFAULTS.get(option.type, ())
    if not isinstance(default, kinds) or (isinstance(default, bool) and option.type != "bool"):
        yield (
            f"options.{key}.default: {default!r} is not of the type '{option.type}'"
            f"{' and none of the choices' if option.choices else ''}. Correct one of them."
        )
    elif isinstance(default, (int, float)) and not (
        math.isfinite(default)
        and (option.ge is None or default >= option.ge)
        and (option.gt is None or default > option.gt)
        and (option.le is None or default <= option.le)
        and (option.lt is None or default < option.lt)
    ):
        yield f"options.{key}.default: {default} is not within its own limits. Correct one of them."


_IMAGES = ("train images", "test images", "channels", "height and width", "classes")
_DEFAULTS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "epoch": (int, float),
    "bool": (bool,),
    "str": (str,),
    "axis": (str,),
    "floats": (tuple,),
    "strs": (tuple,),
    "quantities": (tuple,),
}
# What an option cannot be called: keys that settings have already.
RESERVED = frozenset({"name", "epochs", "batchnorm", "code", "simulation", "seed", "seeds", "kind", "copy", "json"})
