"""The settings of one cell: its sections, the cell it comes after, its identity, and what its keys are called."""

import collections
import functools
import operator
from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gengap import registry
from gengap.studies.options import known_options
from gengap.studies.schema import Component, Epoch, Seed, Settings, Share
from gengap.studies.sections import Dataset, Init, Labels, Loss, Model, Optimizer, Schedule, Training

__all__ = [
    "ARM",
    "CODE",
    "ORIGIN",
    "After",
    "Cell",
    "Dataset",
    "Init",
    "Labels",
    "Loss",
    "Model",
    "Optimizer",
    "Schedule",
    "Training",
    "allowed_options",
    "identities",
    "leaf_names",
]
ARM = "arm"
ORIGIN = "after.cell"
_FEW_LEFT = 0.4  # with more, products of whole matrices are about as fast
CODE = "code"  # in identities, of a part that is a user's own: the digest of its source


def _origin(value: Any) -> Any:
    """An origin's settings as the cell that they are; annotations cannot say that a cell may hold a cell."""
    return Cell.model_validate(value) if isinstance(value, Mapping) else value


class After(Settings):
    """From which trained network a cell starts, and which of its weights are pruned, zero at every step."""

    origin: str = Field(
        "",
        description="Arm of the same study whose network this one comes after; they agree on all other axes. Empty: "
        "the cell starts from its own init.",
    )
    weights: Literal["last", "fresh"] | Epoch = Field(
        "last",
        description="Weights to start from. last: those at the origin's end; a number: those that the origin kept at "
        "this epoch, 0 at its start; fresh: drawn anew by `init`, others than the origin's.",
    )
    prune: tuple[Share, ...] = Field(
        (),
        strict=False,
        description="Share of the weights left that is pruned, one for all convolutions and linear layers or one for "
        "each; biases stay. What the origin has pruned stays pruned.",
    )
    mask: Literal["magnitude", "random"] = Field(
        "magnitude",
        description="magnitude: the smallest of the origin's last weights are pruned; random: as many in every layer, "
        "anywhere in it.",
    )
    scope: Literal["layer", "global"] = Field(
        "layer",
        description="layer: the share is pruned in every layer; global: of all layers but the last together, and the "
        "last one stays.",
    )
    grow: bool = Field(
        False,
        description="The origin has a smaller model.width: its weights are those between the first units of every "
        "layer, and all others keep what `init` drew.",
    )
    cell: Annotated[Any, BeforeValidator(_origin)] = Field(
        None, description="Settings of the origin, a `Cell`; filled in from `origin`."
    )

    @property
    def links(self) -> int:
        """How many trained networks come before this one."""
        links: int = 0 if self.cell is None else 1 + self.cell.after.links
        return links

    @property
    def masked(self) -> bool:
        """Whether some weights are pruned."""
        return self.cell is not None and (bool(self.prune) or self.cell.after.masked)

    @property
    def left(self) -> float:
        """Share of the first layer's weights that is left."""
        before: float = 1.0 if self.cell is None else self.cell.after.left
        return before * (1 - self.prune[0]) if self.prune else before

    @property
    def mostly_pruned(self) -> bool:
        """Whether so few weights of the first layer, a perceptron's largest, are left that a CPU uses these alone."""
        return self.left <= _FEW_LEFT


class Cell(Settings):
    """One fully resolved setting: one network to train."""

    dataset: Dataset = Dataset()
    labels: Labels = Labels()
    model: Model = Model()
    init: Init = Init()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    training: Training = Training()
    after: After = After()
    seed: Seed = Field(
        0, description="Seed of this cell's streams: initial weights, order of the samples, noise, probes."
    )
    arm: str = Field(
        "",
        description="What the grid calls settings that it varies together, as in `arm: {name: {dotted.key: value}}`; "
        "it names cells and changes no number.",
    )

    def identity(self, *sections: str) -> dict[str, Any]:
        """Everything that differs from the defaults, by dotted key; names are always part of it, the arm never is.

        Args:
            sections: Those of which it is asked for; of all, if none is named.
        """
        parts = (_identity_of(name, getattr(self, name)) for name in sections or Cell.model_fields)
        return {dotted: value for part in parts for dotted, value in part.items()}

    def sections(self) -> tuple[int, ...]:
        """Numbers that two living cells share only if their settings but the seed and the arm are the same objects.

        The cells of a study share the sections that are equal, so of many thousands there are a few different ones.
        """
        return tuple(map(id, _SECTIONS(self)))

    @classmethod
    def from_identity(cls, identity: Mapping[str, Any]) -> "Cell":
        """The cell that `identity` was taken from; what it leaves out has its default."""
        nested: dict[str, Any] = {}
        for dotted, value in identity.items():
            section, _, key = dotted.partition(".")
            if key == CODE:
                continue  # of today's file, whichever that is
            if dotted == ORIGIN:
                nested.setdefault(section, {})[key] = cls.from_identity(value)
            elif key:
                nested.setdefault(section, {})[key] = value
            else:
                nested[section] = value
        return cls.model_validate(nested)


_SECTIONS = operator.attrgetter(*(name for name in Cell.model_fields if name not in ("seed", ARM)))


def identities(cells: Mapping[str, Cell]) -> dict[str, dict[str, Any]]:
    """The identity of each cell, by name; a section that several share is asked once."""
    known: dict[tuple[int, ...], dict[str, Any]] = {}
    found = {}
    for name, cell in cells.items():
        key = cell.sections()
        if key not in known:
            known[key] = cell.identity()
        found[name] = known[key] | {"seed": cell.seed}
    return found


def _identity_of(section: str, settings: Any) -> dict[str, Any]:
    if section == ARM:
        return {}
    if isinstance(settings, After):
        return _identity_after(settings)
    if not isinstance(settings, Settings):
        return {section: settings}
    flat = {f"{section}.{key}": value for key, value in _identity(settings).items()}
    if isinstance(settings, Component) and (digest := registry.code(settings.kind, settings.name)):
        flat[f"{section}.{CODE}"] = digest
    return flat


def _identity_after(after: After) -> dict[str, Any]:
    """What a cell comes after: the origin's own identity stands for the name of its arm."""
    if after.cell is None:
        return {}
    changed = after.model_dump(mode="json", exclude={"origin", "cell"}, exclude_defaults=True)
    return {f"after.{key}": value for key, value in changed.items()} | {ORIGIN: after.cell.identity()}


@functools.cache  # a study's cells have few different sections, and thousands of cells are asked
def _identity(settings: Settings) -> Mapping[str, Any]:
    """What of a section differs from its defaults, and its name."""
    changed = settings.model_dump(mode="json", exclude_defaults=True)
    return MappingProxyType({"name": settings.name} | changed if isinstance(settings, Component) else changed)


# Options that every component of a kind reads.
COMMON_OPTIONS: dict[str, tuple[str, ...]] = {
    "labels": ("train_size", "test_size"),
    "model": ("width",),
    "probe": ("epochs", "batchnorm"),
    "schedule": ("warm_up", "warm_up_start"),
}


def allowed_options(kind: str, name: str) -> tuple[str, ...]:
    """The options that the named component reads."""
    entry = registry.check(kind, name)
    return (*entry.reads, *entry.options, *COMMON_OPTIONS.get(kind, ()))


def not_used(kind: str, name: str, key: str, shared: Container[str]) -> str:
    """Why a setting has no effect on the named component; of a user's own, also what to write in its header.

    Args:
        kind: Table of the registry.
        name: Name of the component.
        key: The setting.
        shared: Settings that all parts of the kind may read.
    """
    entry = registry.check(kind, name)
    said = f"'{name}' does not use it. It uses: {', '.join(allowed_options(kind, name)) or 'no options'}."
    if not entry.external or key not in shared:
        return said
    listed = ", ".join(f'"{one}"' for one in (*entry.reads, key))
    return f'{said} If its code does, write "reads": [{listed}] into PART of {entry.path}.'


def leaf_names() -> Mapping[str, str]:
    """Short name of every dotted key: its last part, or the section for a component's name.

    Where two sections share a last part, both keep their section: ``model_batchnorm``, ``training_batchnorm``. Options
    that a header declares do not change these names; theirs are short unless another key has the name.
    """
    own = [(kind, key) for kind in Cell.model_fields if kind in registry.REGISTRY for key in known_options(kind)]
    return _leaf_names(tuple(own))


@functools.cache
def _leaf_names(own: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    short: dict[str, str] = {}
    for section, field in Cell.model_fields.items():
        kind = field.annotation
        if not (isinstance(kind, type) and issubclass(kind, Settings)):
            short[section] = section
            continue
        for key in kind.model_fields:
            if f"{section}.{key}" != ORIGIN:  # a whole cell, which no file sets
                short[f"{section}.{key}"] = section if key == "name" else key
    used = collections.Counter(short.values())
    names = {dotted: name if used[name] == 1 else dotted.replace(".", "_") for dotted, name in short.items()}
    for section, key in own:
        names[f"{section}.{key}"] = f"{section}_{key}" if key in names.values() else key
    return MappingProxyType(names)
