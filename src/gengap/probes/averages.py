"""Means over draws or layers, with the bits that each network would have alone.

torch sums ``[K, n]`` over n in an order that depends on K; adding the n columns one by one does not.
"""

from torch import Tensor

from gengap.probes.context import Measurement


def mean(values: Tensor, dim: int) -> Tensor:
    """Mean over one dimension, added up in its order."""
    columns = values.unbind(dim)
    total = columns[0]
    for column in columns[1:]:
        total = total + column
    return total / len(columns)


def averaged(quantity: str, values: Tensor, layer: str = "", dims: tuple[str, ...] = ()) -> list[Measurement]:
    """The mean over draws and, of a number from two draws on, its standard error.

    Args:
        quantity: Name of the quantity; its standard error is the quantity ``<quantity>_standard_error``.
        values: One value per draw, ``[K, draws]``; or an array, ``[K, draws, *dims]``.
        layer: The layer.
        dims: See `Measurement`.
    """
    average, draws = mean(values, 1), values.shape[1]
    measured = [Measurement(quantity, average, layer, dims)]
    if draws > 1 and not dims:
        variance = mean((values - average[:, None]).square(), 1) * (draws / (draws - 1))
        measured.append(Measurement(f"{quantity}_standard_error", (variance / draws).sqrt(), layer))
    return measured
