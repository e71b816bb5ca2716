"""What is differentiated: the mean training loss over a whole set, as a function of each network's parameters.

Products with the Hessian use forward over reverse mode through our own BatchNorm, which is written in elementary
operations. Through `nn.BatchNorm` in training mode, forward over reverse mode of PyTorch disagreed with finite
differences (largest eigenvalue 9.21 instead of 9.29, an asymmetric matrix), while reverse over reverse agreed.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, grad_and_value, jvp, vmap
from torch.utils import _pytree as pytree

from gengap import losses
from gengap.engine.groups import groups
from gengap.engine.stack import Architecture, State, n_networks, outputs_and_buffers
from gengap.studies.settings import Loss

SummedLoss = Callable[[State, State, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Objective:
    """The mean loss of a stack of networks over all samples.

    Arithmetic is in the state's dtype, sums over batches are in float64.

    Attributes:
        arch: The architecture.
        state: Stacked state ``[K, ...]``, where the loss is differentiated.
        images: ``[N, C, H, W]``, of any dtype: float64 weights need no float64 copy of the whole set.
        targets: ``[N]``, as the loss wants them.
        loss: The loss.
        through_batch: Normalise each batch by its own statistics and differentiate through them; else BatchNorm's
            statistics are the constants in the state.
        batch_size: Samples per call.
    """

    arch: Architecture
    state: State
    images: Tensor
    targets: Tensor
    loss: Loss
    through_batch: bool
    batch_size: int = 1000

    @property
    def network(self) -> nn.Module:
        """The module that is differentiated."""
        return self.arch.batch if self.through_batch else self.arch.evaluation

    @property
    def dtype(self) -> torch.dtype:
        """Of the parameters, and so of the arithmetic."""
        return self.state[self.arch.parameters[0]].dtype

    def at(self, state: State) -> "Objective":
        """The same loss at another stacked state."""
        return dataclasses.replace(self, state=state)

    def batches(self, batch_size: int | None = None) -> list[tuple[Tensor, Tensor]]:
        """Images and targets, cut into batches."""
        size = batch_size or self.batch_size
        return list(zip(self.images.split(size), self.targets.split(size), strict=True))

    def summed_loss(self) -> SummedLoss:
        """The sum of ONE network's sample losses, as a function of its parameters, buffers, images and targets."""
        sample_losses = losses.sample_losses(self.loss)

        def summed(parameters: State, buffers: State, images: Tensor, targets: Tensor) -> Tensor:
            outputs, _ = outputs_and_buffers(self.arch, self.network, {**parameters, **buffers}, images)
            return sample_losses(outputs, targets).sum()

        return summed

    def loss_and_gradient(self) -> tuple[Tensor, State]:
        """The mean loss ``[K]`` and its gradient by parameter name, each ``[K, ...]``; float64."""
        gradient, loss = self._mean(vmap(grad_and_value(self.summed_loss()), in_dims=(0, 0, None, None)))
        return loss, gradient

    def gradient(self) -> State:
        """The gradient of the mean loss by parameter name, each ``[K, ...]``, float64."""
        return self.loss_and_gradient()[1]

    def hvp(self, vectors: State) -> State:
        """The product of each network's Hessian with a vector.

        Where the loss has a kink in its derivative, as the smooth hinge with p = 2 has, the second derivative is that
        of the side that autograd takes.

        Args:
            vectors: One per network, by parameter name, each ``[K, ...]``.

        Returns:
            The products by parameter name, each ``[K, ...]``, float64.

        Source: forward over reverse differentiation, Pearlmutter (1994), Fast exact multiplication by the Hessian.
        """
        product = vmap(hessian_product(self.summed_loss()), in_dims=(0, 0, 0, None, None))
        result: State = self._mean(product, vectors)
        return result

    def _mean(self, function: Callable[..., Any], *others: State) -> Any:
        """Add up over batches what a function gives for a stack, and divide by the number of samples.

        Args:
            function: From `others`, parameters, buffers, images and targets to tensors ``[K, ...]``.
            others: More stacks ``[K, ...]``.
        """
        parts, first = [], 0
        for state in groups(self.state, self.images, self.batch_size):
            here = slice(first, first := first + n_networks(state))
            own = [{name: values[name][here].to(state[name]) for name in self.arch.parameters} for values in others]
            parameters = {name: state[name].detach() for name in self.arch.parameters}
            buffers = {name: state[name] for name in self.arch.buffers}
            total = None
            for x, y in self.batches():
                terms = pytree.tree_map(torch.detach, function(*own, parameters, buffers, x.to(self.dtype), y))
                if total is None:
                    total = pytree.tree_map(lambda term: torch.zeros_like(term, dtype=torch.float64), terms)
                pytree.tree_map(torch.Tensor.add_, total, terms)
            # Sum, then divide once: the last batch is smaller, so a mean of batch means is biased.
            parts.append(pytree.tree_map(lambda value: value / len(self.images), total))
        return pytree.tree_map(lambda *values: torch.cat(values), *parts)


def hessian_product(summed: SummedLoss) -> Callable[[State, State, State, Tensor, Tensor], State]:
    """The product of ONE network's Hessian of a summed loss with a vector.

    Returns:
        A function of the vector and of the loss's own arguments.
    """
    gradient_of = grad(summed)

    def product(vector: State, parameters: State, buffers: State, images: Tensor, targets: Tensor) -> State:
        result: State = jvp(lambda moved: gradient_of(moved, buffers, images, targets), (parameters,), (vector,))[1]
        return result

    return product
