"""Steps that are traced for the compiler: what was one tensor when it was traced may be two later, and the reverse."""

import pytest
import torch
from torch import Tensor

from gengap.engine import device
from gengap.engine.cpu import operators
from gengap.training import compilation

pytestmark = pytest.mark.skipif(not operators.available(), reason="no C++ compiler")


def step(networks: dict[str, dict[str, Tensor]], images: Tensor, rate: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Something in which no two arguments play the same part."""
    now, first = networks["now"], networks["first"]
    moved = {name: first[name] + rate * (value - 2 * images.mean()) for name, value in now.items()}
    return moved, images.sum() - rate.sum()


def tensors(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 4, generator=generator) for _ in range(6)]


@pytest.fixture
def compiled():
    return compilation.compiled(step, device.choose("cpu"))


def arguments(a: Tensor, b: Tensor, first_a: Tensor, first_b: Tensor, images: Tensor, rate: Tensor):
    return {"now": {"a": a, "b": b}, "first": {"a": first_a, "b": first_b}}, images, rate


@pytest.mark.parametrize(
    "same",
    [
        pytest.param((0, 1, 0, 1, 4, 5), id="first weights"),
        pytest.param((0, 0, 2, 3, 4, 5), id="two weights"),
        pytest.param((0, 1, 2, 3, 4, 4), id="images and rates"),
        pytest.param((0, 0, 0, 0, 0, 0), id="all"),
    ],
)
def test_tensors_that_are_one_in_the_first_call_may_be_two_in_the_next(compiled, same):
    one = tensors(0)
    for given in ([one[place] for place in same], tensors(1), [tensors(2)[place] for place in same]):
        torch.testing.assert_close(compiled(*arguments(*given)), step(*arguments(*given)))


def test_tensors_that_are_two_in_the_first_call_may_be_one_in_the_next(compiled):
    one = tensors(1)
    for given in (tensors(0), [one[0], one[1], one[0], one[1], one[4], one[5]]):
        torch.testing.assert_close(compiled(*arguments(*given)), step(*arguments(*given)))
