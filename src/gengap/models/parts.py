"""What several models share: the layers between two weight layers, and the checks of sizes and depths."""

from torch import nn

from gengap.errors import UserError
from gengap.studies.settings import Model

Layers = dict[str, nn.Module]


def hidden(number: int, layer: nn.Conv2d | nn.Linear, settings: Model, *, affine: bool = True) -> Layers:
    """A hidden layer with its activation, and with BatchNorm before it, after it or nowhere.

    Args:
        number: Of the layer among those of its kind, from 1; part of the names.
        layer: The convolution or linear layer.
        settings: `activation` and `batchnorm` are read.
        affine: Whether BatchNorm has weights of its own.
    """
    name = f"conv{number}" if isinstance(layer, nn.Conv2d) else f"linear{number}"
    norm = nn.BatchNorm2d if isinstance(layer, nn.Conv2d) else nn.BatchNorm1d
    bn: Layers = {f"{name}_bn": norm(layer.weight.shape[0], affine=affine)}
    act: Layers = {f"{name}_{settings.activation}": nn.ReLU() if settings.activation == "relu" else nn.Identity()}
    return {name: layer} | {"none": act, "before": bn | act, "after": act | bn}[settings.batchnorm]


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
            f"model.depth: {settings.depth} hidden layers, and model.proportions has {len(given)} numbers. "
            "Leave one of the two out."
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
