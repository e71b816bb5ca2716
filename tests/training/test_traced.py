"""Steps that are traced for the compiler: what was one tensor when it was traced may be two later, and the reverse."""

import pytest
import torch
from torch import Tensor

from gengap.engine import device
from gengap.engine.cpu import operators
from gengap.training import compilation

Networks = dict[str, dict[str, Tensor]]
pytestmark = pytest.mark.skipif(not operators.available(), reason="no C++ compiler")


def step(networks: Networks, images: Tensor, rate: Tensor) -> tuple[Networks, Tensor]:
    """Something in which no two arguments play the same part."""
    now, first = networks["now"], networks["first"]
    moved = {name: first[name] + rate * (value - 2 * images.mean()) for name, value in now.items()}
    return {"now": moved, "first": first}, images.sum() - rate.sum()


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


def test_what_it_is_given_stays_and_what_it_returns_is_overwritten(compiled):
    a, b, first_a, first_b, images, rate = tensors(0)
    networks, others = {"now": {"a": a, "b": b}, "first": {"a": first_a, "b": first_b}}, (images, rate)
    kept = {name: {key: value.clone() for key, value in part.items()} for name, part in networks.items()}
    first, _ = compiled(networks, *others)
    torch.testing.assert_close(networks, kept, rtol=0, atol=0)
    expected, _ = step(networks, *others)
    torch.testing.assert_close(first, expected)
    second, _ = compiled(first, *others)
    assert second is first
    torch.testing.assert_close(second, step(expected, *others)[0])


def test_a_part_of_the_networks_may_be_replaced_between_two_steps(compiled):
    """As exact statistics replace the buffers."""
    a, b, first_a, first_b, images, rate = tensors(0)
    returned, _ = compiled(*arguments(a, b, first_a, first_b, images, rate))
    changed = {"now": {**returned["now"], "b": first_b}, "first": dict(returned["first"])}
    expected, _ = step(changed, images, rate)
    found, _ = compiled(changed, images, rate)
    torch.testing.assert_close(found, expected)


def test_a_smaller_stack_is_compiled_for_itself(compiled):
    for rows in (3, 2, 3):
        given = [value[:rows] for value in tensors(rows)]
        torch.testing.assert_close(compiled(*arguments(*given)), step(*arguments(*given)))
