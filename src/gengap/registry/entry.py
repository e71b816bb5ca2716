"""What the header of a part says: plain data in its file, checked and typed here."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from gengap.errors import UserError

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
    "probe": ("reads", "options", "batchnorm", "teacher", "quantities", "uses", "picture"),
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
            are kept; empty: only one of `choices`.
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

    type: Literal["int", "float", "bool", "str", "floats", "strs", "axis", "epoch", ""] = ""
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
    batchnorm: Listed = ("running", "batch", "exact")
    teacher: bool = False
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
    allowed = ("summary", *KEYS[kind])
    if unknown := [key for key in header if key not in allowed]:
        raise UserError(f"{path}: PART: {unknown[0]!r} is no key of a {kind}. Allowed: {', '.join(allowed)}.")
    try:
        made = Entry(**header, module=module, path=path, external=external)
    except ValidationError as error:
        lines = [
            f"{path}: PART: {'.'.join(map(str, mistake['loc']))}: {mistake['msg'].lower()}."
            for mistake in error.errors()
        ]
        raise UserError("\n".join(lines)) from error
    for key in made.options:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", key) or key in RESERVED:
            raise UserError(f"{path}: PART: options.{key}: cannot be the name of an option. Choose another.")
    return made


# What an option cannot be called: keys that settings have already.
RESERVED = frozenset({"name", "epochs", "batchnorm", "code", "simulation", "seed", "seeds", "kind", "copy", "json"})
