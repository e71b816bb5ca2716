"""What several models share: the layers between two weight layers, and the checks of sizes and depths."""

from typing import Protocol

from torch import nn

from gengap.counting import count
from gengap.errors import UserError
from gengap.studies.settings import Model

Layers = dict[str, nn.Module]
NAMES = {"batch": "bn", "layer": "ln", "group": "gn", "none": "none"}  # of the modules that normalise


class MakeNorm(Protocol):
    """See `norm_of`."""

    def __call__(self, features: int, *, maps: bool = True) -> nn.Module:
        """A normalisation of ``[N, features, H, W]``, or without `maps` of ``[N, features]``."""


def hidden(number: int, layer: nn.Conv2d | nn.Linear, settings: Model, *, affine: bool = True) -> Layers:
    """A hidden layer with its activation, and with a normalisation before it, after it or nowhere.

    Args:
        number: Of the layer among those of its kind, from 1; part of the names.
        layer: The convolution or linear layer.
        settings: `activation`, `batchnorm`, `norm` and `group_size` are read.
        affine: Whether the normalisation has weights of its own.

    Raises:
        UserError: If it says what normalises, but not where.
    """
    if settings.batchnorm == "none" and settings.norm in ("layer", "group"):
        raise UserError(
            f"model.norm: '{settings.norm}' normalises nothing where model.batchnorm is none. Set model.batchnorm to "
            "before or after."
        )
    name = f"conv{number}" if isinstance(layer, nn.Conv2d) else f"linear{number}"
    make = norm_of(settings, affine=affine)
    bn: Layers = {f"{name}_{NAMES[settings.norm]}": make(layer.weight.shape[0], maps=isinstance(layer, nn.Conv2d))}
    act: Layers = {f"{name}_{settings.activation}": nn.ReLU() if settings.activation == "relu" else nn.Identity()}
    where = "none" if settings.norm == "none" else settings.batchnorm
    return {name: layer} | {"none": act, "before": bn | act, "after": act | bn}[where]


def normalised(settings: Model) -> Model:
    """The settings of a model that normalises before every activation."""
    return Model(
        width=settings.width,
        batchnorm="before",
        norm=settings.norm,
        group_size=settings.group_size,
    )


def norm_of(settings: Model, *, affine: bool = True) -> MakeNorm:
    """What makes a model's normalisations: of so many channels of maps, or units.

    LayerNorm (Ba, Kiros and Hinton 2016, arXiv:1607.06450) is taken over all channels and pixels of an image, with a
    scale and a shift per channel: GroupNorm with a single group (Wu and He 2018, arXiv:1803.08494, section 3.1).

    Args:
        settings: `norm` and `group_size` are read.
        affine: Whether they have scales and shifts.
    """

    def make(features: int, *, maps: bool = True) -> nn.Module:
        if settings.norm == "none":
            return nn.Identity()
        if settings.norm == "batch":
            return (nn.BatchNorm2d if maps else nn.BatchNorm1d)(features, affine=affine)
        most = features if settings.norm == "layer" else settings.group_size
        size = max(number for number in range(1, features + 1) if features % number == 0 and number <= most)
        if size == 1 and not maps:
            more = "model.width" if features == 1 else "model.group_size, and a model.width that it divides"
            raise UserError(
                f"model.norm: '{settings.norm}' of a linear layer with {features} units would take one unit at a "
                f"time, and leave nothing of it. Choose a larger {more}."
            )
        return nn.GroupNorm(features // size, features, affine=affine)

    return make


def widths(settings: Model, depth: int) -> list[int]:
    """Units or channels of every hidden layer: `width` times the option `proportions`; all equal where it is empty.

    Args:
        settings: `width`, `depth` and the option `proportions` are read.
        depth: Hidden layers where the study gives neither.

    Raises:
        UserError: If `depth` and `proportions` disagree.
    """
    given = settings.proportions
    if given and settings.depth not in (None, len(given)):
        raise UserError(
            f"model.depth: {count(settings.depth, 'hidden layer')}, and model.proportions has "
            f"{count(len(given), 'number')}. Leave one of the two out."
        )
    if any(not share > 0 for share in given):
        raise UserError(f"model.proportions: {min(given)} is not allowed: a layer's width must be above 0.")
    # Halves are rounded up, so that students of any multiple have as many times the nodes.
    return [max(1, int(settings.width * share + 0.5)) for share in given or [1.0] * (settings.depth or depth)]


def check_size(name: str, image_shape: tuple[int, int, int], at_least: int) -> None:
    """Refuse images that a model's convolutions and pools would shrink to nothing.

    Raises:
        UserError: If a side has fewer than `at_least` pixels.
    """
    _, height, width = image_shape
    if min(height, width) < at_least:
        raise UserError(
            f"model.name: '{name}' needs images of at least {at_least} x {at_least} pixels, got {height} x {width}. "
            f"Set dataset.image_size to {at_least} or more, or to null for the original size; or choose another model."
        )


def blocks_per_stage(name: str, depth: int, extra: int) -> int:
    """How many blocks of two layers each of a residual network's three stages has.

    Args:
        name: Of the model, for the message.
        depth: Weight layers, shortcuts not counted.
        extra: Those of them outside the blocks' pairs.

    Raises:
        UserError: If there is no such depth.
    """
    blocks, left = divmod(depth - extra, 6)
    if left or blocks < 1:
        near = extra + 6 * max(1, round((depth - extra) / 6))
        raise UserError(
            f"model.depth: '{name}' has 6 n + {extra} layers, with n blocks in each of its three stages, not {depth}. "
            f"The nearest is {near}."
        )
    return blocks
