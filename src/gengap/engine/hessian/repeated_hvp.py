"""Many products of one network's Hessian with vectors: what does not depend on the vector is computed once."""

import torch
from torch import Tensor
from torch.func import functional_call, grad, hessian, vmap

from gengap import losses
from gengap.engine.autograd_memory import saved_bytes
from gengap.engine.hessian.hvp import unflatten
from gengap.engine.hessian.lanczos import Product
from gengap.engine.layers.im2col import columned
from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Loss

_KEPT = 2_000_000_000  # Bytes of gradients' graphs kept from product to product; others are computed anew each time.
_GRAPH = 100_000_000  # Bytes of a graph, where samples can be divided as one likes.


def repeated_product(
    arch: Architecture,
    state: State,
    images: Tensor,
    targets: Tensor,
    loss: Loss,
    *,
    through_batch: bool,
    batch_size: int = 1000,
) -> Product:
    """The Hessian of one network's mean loss over all samples, as a function of several vectors.

    Reverse over reverse differentiation: the Hessian is symmetric, so the gradient's pullback is the product. The graph
    of the gradient is kept for as many samples as memory allows, and samples whose loss has no derivative, those
    beyond the hinge's margin, are left out where BatchNorm's statistics are constant.

    Args:
        arch: The architecture.
        state: State of one network, with the stack's leading dimension of 1; its dtype is that of the arithmetic.
        images: ``[N, C, H, W]``, of any dtype.
        targets: ``[N]``.
        loss: The loss.
        through_batch: As in `gengap.engine.gradients.full_gradient`.
        batch_size: Most samples per call; through the batch, those whose statistics are taken together.

    Returns:
        A function from ``[T, P]`` to ``[T, P]``, float64.
    """
    count = len(images)
    network = {name: value[0].detach() for name, value in state.items()}
    leaves = {name: network[name].clone().requires_grad_() for name in arch.parameters}
    dtype = network[arch.parameters[0]].dtype
    sample_losses = losses.sample_losses(loss)
    module = arch.batch if through_batch else arch.evaluation
    if images.device.type == "cpu":  # A GPU adds up the columns' derivatives in no fixed order.
        module = columned(module)

    def gradient(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Of the sum of the losses, with its graph."""
        with torch.enable_grad():
            outputs = functional_call(module, {**network, **leaves}, (x.to(dtype),))
            summed = sample_losses(outputs, y).sum()
            return torch.autograd.grad(
                summed, list(leaves.values()), create_graph=True, allow_unused=True, materialize_grads=True
            )

    def graph_size() -> int:
        """Bytes per sample."""
        return saved_bytes(lambda: gradient(images[:16], targets[:16])) // len(images[:16]) + 1

    size = graph_size()
    if not through_batch:
        batch_size = max(1, min(batch_size, _GRAPH // size))
        kept = _with_derivative(_outputs(module, network, images, batch_size), targets, loss)
        images, targets = images[kept], targets[kept]
    elif size * batch_size > _KEPT:
        module = arch.batch  # Such a batch cannot be divided, and columns take the most memory.
        size = graph_size()
    batches = list(zip(images.split(batch_size), targets.split(batch_size), strict=True)) if len(images) else []
    graphs = [gradient(x, y) for x, y in batches[: _KEPT // (size * batch_size)]]

    def product(vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors, dtype=torch.float64)
        for place, (x, y) in enumerate(batches):
            graph = graphs[place] if place < len(graphs) else gradient(x, y)
            for row, vector in zip(total, vectors.to(dtype).split(1), strict=True):
                row += _pulled_back(arch, graph, leaves, unflatten(arch, state, vector))
            del graph  # before the next one is made
        return total / count

    return product


def _pulled_back(arch: Architecture, graph: tuple[Tensor, ...], leaves: State, vector: State) -> Tensor:
    """The gradient's pullback of a vector, ``[P]``."""
    # A derivative that does not depend on the weights has no graph.
    moving = [
        (one, vector[name][0]) for name, one in zip(arch.parameters, graph, strict=True) if one.grad_fn is not None
    ]
    if not moving:
        return torch.zeros(arch.n_parameters, dtype=torch.float64, device=graph[0].device)
    outputs, along = zip(*moving, strict=True)
    result = torch.autograd.grad(
        outputs, list(leaves.values()), along, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return torch.cat([one.flatten() for one in result])


def loss_derivatives(
    arch: Architecture, network: State, images: Tensor, targets: Tensor, loss: Loss
) -> tuple[Tensor, Tensor]:
    """First and second derivatives of each sample's loss with respect to the outputs, in evaluation mode.

    Args:
        arch: The architecture.
        network: State of one network, without a leading dimension.
        images: ``[N, C, H, W]``, of any dtype.
        targets: ``[N]``.
        loss: The loss.

    Returns:
        ``[N, n_outputs]`` and ``[N, n_outputs, n_outputs]``.
    """
    outputs = _outputs(arch.evaluation, network, images, 1000)
    sample_losses = losses.sample_losses(loss)

    def one(output: Tensor, target: Tensor) -> Tensor:
        return sample_losses(output[None], target[None])[0]

    return vmap(grad(one))(outputs, targets), vmap(hessian(one))(outputs, targets)


def _with_derivative(outputs: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Which samples' losses have a first or a second derivative other than 0, ``[N]``."""
    with torch.enable_grad():
        outputs = outputs.requires_grad_()
        summed = losses.sample_losses(loss)(outputs, targets).sum()
        first = torch.autograd.grad(summed, outputs, create_graph=True)[0]
    found = first.any(dim=1)
    for slope in first.T:
        if found.all() or slope.grad_fn is None:
            break
        # A sample's loss depends on its own outputs only, so those of other samples add nothing.
        found = found | torch.autograd.grad(slope.sum(), outputs, retain_graph=True)[0].any(dim=1)
    return found


@torch.no_grad()
def _outputs(module: torch.nn.Module, network: State, images: Tensor, at_once: int) -> Tensor:
    dtype = next(value.dtype for value in network.values())
    return torch.cat([functional_call(module, network, (x.to(dtype),)) for x in images.split(at_once)])
