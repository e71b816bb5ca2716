"""Many products of one network's Hessian with vectors: what does not depend on the vector is computed once."""

import dataclasses

import torch
from torch import Tensor
from torch.func import functional_call, grad, hessian, vmap

from gengap import losses
from gengap.engine.autograd_memory import KEPT_BYTES, saved_bytes
from gengap.engine.hessian.lanczos import Product
from gengap.engine.layers.im2col import with_im2col
from gengap.engine.objective import Objective
from gengap.engine.stack import Architecture, State, network_state, unflatten
from gengap.studies.settings import Loss

_GRAPH = 100_000_000  # Bytes of a graph, where samples can be divided as one likes.


def repeated_product(objective: Objective) -> Product:
    """The Hessian of one network's mean loss over all samples, as a function of several vectors.

    Reverse over reverse differentiation: the Hessian is symmetric, so the gradient's pullback is the product. The graph
    of the gradient is kept for as many samples as memory allows, and samples whose loss has no derivative, those
    beyond the hinge's margin, are left out where BatchNorm's statistics are constant.

    Args:
        objective: Of a stack of one network; through the batch, its batches have their statistics together.

    Returns:
        A function from ``[T, P]`` to ``[T, P]``, float64.
    """
    arch, dtype, count = objective.arch, objective.dtype, len(objective.images)
    network = {name: value.detach() for name, value in network_state(objective.state, 0).items()}
    leaves = {name: network[name].clone().requires_grad_() for name in arch.parameters}
    sample_losses = losses.sample_losses(objective.loss)
    module = objective.network
    if objective.images.device.type == "cpu":  # A GPU adds up the columns' derivatives in no fixed order.
        module = with_im2col(module)

    def gradient(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Of the sum of the losses, with its graph."""
        with torch.enable_grad():
            outputs = functional_call(module, {**network, **leaves}, (x.to(dtype),))
            summed = sample_losses(outputs, y).sum()
            return torch.autograd.grad(
                summed, list(leaves.values()), create_graph=True, allow_unused=True, materialize_grads=True
            )

    def bytes_per_sample() -> int:
        """Of the gradient's graph."""
        images, targets = objective.images[:16], objective.targets[:16]
        return saved_bytes(lambda: gradient(images, targets)) // len(images) + 1

    size = bytes_per_sample()
    if not objective.through_batch:
        batch_size = max(1, min(objective.batch_size, _GRAPH // size))
        outputs = _outputs(module, network, objective.images, batch_size)
        curved = _with_derivative(outputs, objective.targets, objective.loss)
        objective = dataclasses.replace(
            objective, images=objective.images[curved], targets=objective.targets[curved], batch_size=batch_size
        )
    elif size * objective.batch_size > KEPT_BYTES:
        module = arch.batch  # Such a batch cannot be divided, and columns take the most memory.
        size = bytes_per_sample()
    batches = objective.batches() if len(objective.images) else []
    graphs = [gradient(x, y) for x, y in batches[: KEPT_BYTES // (size * objective.batch_size)]]

    def product(vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors, dtype=torch.float64)
        for number, (x, y) in enumerate(batches):
            graph = graphs[number] if number < len(graphs) else gradient(x, y)
            for row, vector in zip(total, vectors.to(dtype).split(1), strict=True):
                row += _pulled_back(arch, graph, leaves, unflatten(arch, vector))
            del graph  # before the next one is made
        return total / count

    return product


def _pulled_back(arch: Architecture, graph: tuple[Tensor, ...], leaves: State, vector: State) -> Tensor:
    """The gradient's pullback of a vector, ``[P]``."""
    # A derivative that does not depend on the weights has no graph.
    varying = [
        (derivative, vector[name][0])
        for name, derivative in zip(arch.parameters, graph, strict=True)
        if derivative.grad_fn is not None
    ]
    if not varying:
        return torch.zeros(arch.n_parameters, dtype=torch.float64, device=graph[0].device)
    outputs, along = zip(*varying, strict=True)
    pulled = torch.autograd.grad(
        outputs, list(leaves.values()), along, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return torch.cat([part.flatten() for part in pulled])


def loss_derivatives(objective: Objective) -> tuple[Tensor, Tensor]:
    """First and second derivatives of each sample's loss with respect to the outputs, in evaluation mode.

    Args:
        objective: Of a stack of one network.

    Returns:
        ``[N, n_outputs]`` and ``[N, n_outputs, n_outputs]``.
    """
    outputs = _outputs(objective.arch.evaluation, network_state(objective.state, 0), objective.images, 1000)
    sample_losses = losses.sample_losses(objective.loss)

    def sample_loss(output: Tensor, target: Tensor) -> Tensor:
        return sample_losses(output[None], target[None])[0]

    first, second = (vmap(derivative(sample_loss))(outputs, objective.targets) for derivative in (grad, hessian))
    return first, second


def _with_derivative(outputs: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Which samples' losses have a first or a second derivative other than 0, ``[N]``."""
    with torch.enable_grad():
        outputs = outputs.requires_grad_()
        summed = losses.sample_losses(loss)(outputs, targets).sum()
        first = torch.autograd.grad(summed, outputs, create_graph=True)[0]
    curved = first.any(dim=1)
    for slope in first.T:
        if curved.all() or slope.grad_fn is None:
            break
        # A sample's loss depends on its own outputs only, so those of other samples add nothing.
        curved = curved | torch.autograd.grad(slope.sum(), outputs, retain_graph=True)[0].any(dim=1)
    return curved


@torch.no_grad()
def _outputs(module: torch.nn.Module, network: State, images: Tensor, batch_size: int) -> Tensor:
    dtype = next(value.dtype for value in network.values())
    return torch.cat([functional_call(module, network, (x.to(dtype),)) for x in images.split(batch_size)])
