"""How much memory autograd keeps between a forward and a backward pass."""

from collections.abc import Callable

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

# Of gradients' graphs that are kept from one product with the Hessian to the next; others are recomputed each time.
KEPT_BYTES = 2_000_000_000


def saved_bytes(run: Callable[[], object]) -> int:
    """Bytes that autograd keeps while `run` runs; a storage that several operations keep counts once."""
    kept: dict[int, Tensor] = {}  # alive, or another tensor could get the same address

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        result = run()
    del result
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
