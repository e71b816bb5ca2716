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
from torch.func import grad, jvp, vmap

from gengap.engine.gradients import summed_loss
from gengap.engine.hessian.hvp import flatten, hessian_vector_product, unflatten
from gengap.engine.hessian.lanczos import start_vectors
from gengap.engine.hessian.layer_jacobians import Observed
from gengap.engine.hessian.repeated_hvp import loss_derivatives
from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Loss

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


def full_hessian(
    arch: Architecture,
    state: State,
    images: Tensor,
    targets: Tensor,
    loss: Loss,
    *,
    through_batch: bool,
    seed: int,
    batch_size: int = 1000,
) -> Hessian:
    """Hessian of one network's mean loss over all samples.

    Args:
        arch: The architecture.
        state: State of one network, with the stack's leading dimension of 1; computed with in float64.
        images: ``[N, C, H, W]``, of any dtype.
        targets: ``[N]``.
        loss: The loss.
        through_batch: As in `gengap.engine.gradients.full_gradient`; then the Hessian is found column by column.
        seed: For the vector of the check.
        batch_size: As in `gengap.engine.gradients.full_gradient`.
    """
    state = {name: value.double() for name, value in state.items()}
    probe = start_vectors([seed], 1, arch.n_parameters)[0].to(images.device)
    automatic = flatten(
        arch,
        hessian_vector_product(
            arch,
            state,
            images,
            targets,
            loss,
            unflatten(arch, state, probe),
            through_batch=through_batch,
            batch_size=batch_size,
        ),
    )[0]
    network = {name: value[0] for name, value in state.items()}

    def checked(summed: Tensor) -> Hessian:
        matrix = (summed + summed.T) / (2 * len(images))
        difference = (matrix @ probe[0] - automatic).norm()
        # A dead network has a Hessian of zeros.
        error = difference / automatic.norm() if difference > 0 else difference
        return Hessian(matrix, error.item())

    if not through_batch:
        found = checked(_by_layers(arch, network, images, targets, loss))
        if found.error <= _SAME:
            return found
    return checked(_by_columns(arch, network, images, targets, loss, through_batch, batch_size))


def _by_columns(
    arch: Architecture,
    network: State,
    images: Tensor,
    targets: Tensor,
    loss: Loss,
    through_batch: bool,
    batch_size: int,
) -> Tensor:
    """One product per parameter, several at a time; not yet symmetric."""
    gradient_of = grad(summed_loss(arch, loss, through_batch=through_batch))
    parameters = {name: network[name] for name in arch.parameters}
    buffers = {name: network[name] for name in arch.buffers}
    unit = torch.eye(arch.n_parameters, dtype=torch.float64, device=images.device)
    total = torch.zeros_like(unit)
    # Without statistics of its own a batch may be of any size, and small ones stay in the cache.
    samples = min(batch_size if through_batch else 250, len(images))
    at_once = max(1, _CHUNK // (samples * images[0].numel() * 30))
    for batch, y in zip(images.split(samples), targets.split(samples), strict=True):
        x = batch.double()

        def column(vector: State, x: Tensor = x, y: Tensor = y) -> State:
            result: State = jvp(lambda moved: gradient_of(moved, buffers, x, y), (parameters,), (vector,))[1]
            return result

        for first in range(0, arch.n_parameters, at_once):
            rows = slice(first, first + at_once)
            vectors = unflatten(arch, {name: value[None] for name, value in parameters.items()}, unit[rows])
            total[rows] += flatten(arch, vmap(column)(vectors))
    return total


def _by_layers(arch: Architecture, network: State, images: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """The module's formula; symmetric up to rounding."""
    observed = Observed(arch)
    first, second = loss_derivatives(arch, network, images, targets, loss)
    # Beyond the hinge's margin, a sample's loss has no derivative and adds nothing.
    counts = first.flatten(1).any(dim=1) | second.flatten(1).any(dim=1)
    images, first, second = images[counts], first[counts], second[counts]
    total = torch.zeros(arch.n_parameters, arch.n_parameters, dtype=torch.float64, device=images.device)
    if not len(images):
        return total
    shapes = {name: value.shape[1:] for name, value in observed.run(network, {}, images[:1].double())[0].items()}
    observed.look_behind(network, images[:1].double())
    widest = max(sum(p.numel() for p in observed.own(network, layer).values()) for layer in shapes)
    per_sample = widest * sum(shape.numel() for shape in shapes.values())
    chunk = max(1, _CHUNK // per_sample)
    for x, slope, bend in zip(images.split(chunk), first.split(chunk), second.split(chunk), strict=True):
        _add_chunk(observed, network, x.double(), slope, bend, total)
    return total


def _add_chunk(observed: Observed, network: State, x: Tensor, slope: Tensor, bend: Tensor, total: Tensor) -> None:
    """Add the samples' part of the Hessian to `total`."""
    deltas = observed.deltas(network, x, slope)
    inputs, _ = observed.run(network, {}, x)
    reached = {later for layers in observed.behind.values() for later in layers}
    mixed = {layer: observed.mixed(network, layer, inputs[layer], deltas[layer]).flatten(1) for layer in reached}
    jacobian = torch.zeros(len(total), *slope.shape, dtype=total.dtype, device=total.device)
    for layer, behind in observed.behind.items():
        moved, outputs = observed.derivatives(network, layer, behind, x)
        columns = observed.places[layer]
        jacobian[columns] = outputs
        for later in behind:
            product = mixed[later] @ moved[later].flatten(1).T
            rows = observed.places[later]
            total[rows[:, None], columns] += product
            total[columns[:, None], rows] += product.T
    bent = torch.einsum("pnc,ncd->pnd", jacobian, bend)
    total += bent.flatten(1) @ jacobian.flatten(1).T
