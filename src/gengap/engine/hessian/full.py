"""The whole Hessian of the mean training loss over a set, of a network small enough to write it down.

With BatchNorm's statistics held constant, a network of convolutions, linear layers and ReLUs is piecewise linear
between its layers, and every layer is linear in its input and in its own weights. The Hessian of the sum of the
losses l_n(f_n) is then, with J_n = df_n / dtheta,

    H = sum_n J_n^T l_n'' J_n + A + A^T,    A[b, a] = sum_n (d^2 <delta_b, h_b> / dtheta_b dx_b) (dx_b / dtheta_a),

where layer b has input x_b, output h_b, weights theta_b, and delta_b = dl_n / dh_b; a runs over the layers before b.
That takes forward derivatives of the layers' inputs and matrix products, and no second derivative. Whether a network
is of this kind is not read off its code: the result is compared with a product by automatic differentiation, and where
the two differ the Hessian is found column by column.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vmap

from gengap.engine.hessian.eigenvalues import hessian_operator
from gengap.engine.hessian.lanczos import start_vectors
from gengap.engine.hessian.layer_jacobians import LayerJacobians
from gengap.engine.hessian.repeated_hvp import loss_derivatives
from gengap.engine.objective import Objective, hessian_product
from gengap.engine.stack import State, flatten, network_state, unflatten

_CHUNK = 16_000_000  # Numbers that one call's derivatives may hold: 128 MB.
_SAME = 1e-9  # Relative error of a right Hessian's product with a vector: rounding leaves about 1e-14.


@dataclass(frozen=True)
class Hessian:
    """A Hessian and how well it is known.

    Attributes:
        matrix: ``[P, P]``, float64, symmetric; rows in the order of `Architecture.parameters`.
        error: ``||H v - (H v)_ad|| / ||(H v)_ad||`` for a vector v of random signs, where ad is forward over reverse
            automatic differentiation; for columns found in that way, their asymmetry along v.
    """

    matrix: Tensor
    error: float


def full_hessian(objective: Objective, *, seed: int) -> Hessian:
    """Hessian of one network's mean loss over all samples, in float64.

    Through the batch it is found column by column.

    Args:
        objective: Of a stack of one network.
        seed: For the vector of the check.
    """
    objective = objective.at({name: value.double() for name, value in objective.state.items()})
    vector = start_vectors([seed], 1, objective.arch.n_parameters)[0].to(objective.images.device)
    automatic = hessian_operator(objective)(vector)[0]

    def checked(summed: Tensor) -> Hessian:
        matrix = (summed + summed.T) / (2 * len(objective.images))
        difference = (matrix @ vector[0] - automatic).norm()
        # A dead network has a Hessian of zeros.
        error = difference / automatic.norm() if difference > 0 else difference
        return Hessian(matrix, error.item())

    if not objective.through_batch:
        hessian = checked(_by_layers(objective))
        if hessian.error <= _SAME:
            return hessian
    return checked(_by_columns(objective))


def _by_columns(objective: Objective) -> Tensor:
    """One product per parameter, several at a time; not yet symmetric."""
    arch, images = objective.arch, objective.images
    product = vmap(hessian_product(objective.summed_loss()), in_dims=(0, None, None, None, None))
    network = network_state(objective.state, 0)
    parameters = {name: network[name] for name in arch.parameters}
    buffers = {name: network[name] for name in arch.buffers}
    unit = torch.eye(arch.n_parameters, dtype=torch.float64, device=images.device)
    total = torch.zeros_like(unit)
    # Without statistics of its own a batch may be of any size, and small ones stay in the cache.
    samples = min(objective.batch_size if objective.through_batch else 250, len(images))
    at_once = max(1, _CHUNK // (samples * images[0].numel() * 30))
    for x, y in objective.batches(samples):
        for first in range(0, arch.n_parameters, at_once):
            rows = slice(first, first + at_once)
            columns = product(unflatten(arch, unit[rows]), parameters, buffers, x.double(), y)
            total[rows] += flatten(arch, columns)
    return total


def _by_layers(objective: Objective) -> Tensor:
    """The module's formula; symmetric up to rounding."""
    network, images = network_state(objective.state, 0), objective.images
    jacobians = LayerJacobians(objective.arch)
    first, second = loss_derivatives(objective)
    # Beyond the hinge's margin, a sample's loss has no derivative and adds nothing.
    counts = first.flatten(1).any(dim=1) | second.flatten(1).any(dim=1)
    images, first, second = images[counts], first[counts], second[counts]
    n_parameters = objective.arch.n_parameters
    total = torch.zeros(n_parameters, n_parameters, dtype=torch.float64, device=images.device)
    if not len(images):
        return total
    shapes = {name: value.shape[1:] for name, value in jacobians.run(network, {}, images[:1].double())[0].items()}
    jacobians.find_later_layers(network, images[:1].double())
    widest = max(sum(p.numel() for p in jacobians.own(network, layer).values()) for layer in shapes)
    per_sample = widest * sum(shape.numel() for shape in shapes.values())
    chunk = max(1, _CHUNK // per_sample)
    for x, slope, bend in zip(images.split(chunk), first.split(chunk), second.split(chunk), strict=True):
        _add_chunk(jacobians, network, x.double(), slope, bend, total)
    return total


def _add_chunk(
    jacobians: LayerJacobians, network: State, x: Tensor, slope: Tensor, bend: Tensor, total: Tensor
) -> None:
    """Add the samples' part of the Hessian to `total`."""
    deltas = jacobians.deltas(network, x, slope)
    inputs, _ = jacobians.run(network, {}, x)
    reached = {layer for later in jacobians.later.values() for layer in later}
    mixed = {layer: jacobians.mixed(network, layer, inputs[layer], deltas[layer]).flatten(1) for layer in reached}
    by_outputs = torch.zeros(len(total), *slope.shape, dtype=total.dtype, device=total.device)
    for layer, later_layers in jacobians.later.items():
        by_inputs, outputs = jacobians.derivatives(network, layer, later_layers, x)
        columns = jacobians.offsets[layer]
        by_outputs[columns] = outputs
        for later in later_layers:
            product = mixed[later] @ by_inputs[later].flatten(1).T
            rows = jacobians.offsets[later]
            total[rows[:, None], columns] += product
            total[columns[:, None], rows] += product.T
    bent = torch.einsum("pnc,ncd->pnd", by_outputs, bend)
    total += bent.flatten(1) @ by_outputs.flatten(1).T
