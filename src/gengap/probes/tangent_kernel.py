"""The tangent kernel of some training samples: alignment with the labels, Fisher traces, Laplace evidence."""

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.func import functional_call, grad, hessian, jacrev, vmap

from gengap import losses
from gengap.engine.stack import State, network_state
from gengap.probes.context import Measurement, ProbeContext
from gengap.probes.representation import class_probabilities

PART = {
    "summary": "Tangent kernel of some samples: alignment with the labels, Fisher traces, Laplace evidence.",
    "batchnorm": ("running", "exact"),
    "options": {
        "kernel_samples": {
            "type": "int",
            "default": 64,
            "ge": 3,
            "meaning": "Training images in the kernel, the first ones.",
        },
    },
    "quantities": {
        "tangent_kernel_alignment": {
            "label": "label alignment of the tangent kernel",
            "meaning": "Cosine of the centred tangent kernel and the centred kernel of equal labels.",
            "rescaling_invariant": False,
        },
        "tangent_kernel_trace": {
            "label": "trace of the tangent kernel",
            "meaning": (
                "Mean over samples of the squared norm of the derivative of all outputs with respect to the weights."
            ),
            "rescaling_invariant": False,
        },
        "tangent_kernel_rank": {
            "label": "effective rank of the tangent kernel",
            "meaning": "Exponential of the entropy of the tangent kernel's eigenvalues.",
            "rescaling_invariant": False,
        },
        "fisher_trace": {
            "label": "trace of the Fisher matrix",
            "symbol": "\\mathrm{tr}\\,F",
            "meaning": "Mean squared norm of the gradient of log p(y | x), y drawn from the network's own prediction.",
            "rescaling_invariant": False,
        },
        "gradient_second_moment": {
            "label": "second moment of the gradient",
            "symbol": "\\mathrm{tr}\\,C",
            "meaning": "Mean squared norm of single-sample gradients of the loss.",
            "rescaling_invariant": False,
        },
        "information_ratio": {
            "label": "tr C / tr F",
            "symbol": "\\mathrm{tr}\\,C/\\mathrm{tr}\\,F",
            "meaning": (
                "Second moment of the gradient over the trace of the Fisher matrix, in place of Takeuchi's tr(C F^-1)."
            ),
            "rescaling_invariant": False,
        },
        "laplace_evidence": {
            "label": "Laplace evidence",
            "symbol": "\\log p(D)",
            "meaning": (
                "Logarithm of the marginal likelihood per training sample by Laplace's method, for the best prior "
                "precision."
            ),
            "rescaling_invariant": False,
        },
    },
    "picture": {"quantity": "tangent_kernel_alignment"},
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure the derivatives J_i ``[n_outputs, P]`` of n training samples' outputs with respect to all parameters.

    * K_ij = tr(J_i J_j'), the tangent kernel summed over outputs; its alignment is the cosine (of Frobenius) of H K H
      and
      H Y H, with Y_ij = 1 for samples of one class, else 0, and ``H = I - 1 1' / n``; its effective rank is
      ``exp(-sum p_i log p_i)`` of its eigenvalues over their sum;
    * with ``g_i`` the gradient of the loss of sample i and G_i its Hessian in the outputs: tr C = mean |g_i|^2;
      tr F = mean tr(J_i' A_i J_i), ``A_i`` the covariance of the predicted classes, which is G_i for the cross-entropy;
    * Laplace's evidence, with prior precision a: ``-sum_i l_i - a |theta|^2 / 2 - log det(I + B / a) / 2``, at the a
      from
      1e-6 to 1e6 where it is largest, divided by the number N of training samples; B has the eigenvalues of
      ``N / n`` times the matrix of blocks ``G_i^(1/2) J_i J_j' G_j^(1/2)``: the Gauss-Newton matrix of n samples
      stands for that of all,
      whose rank is higher. The loss is taken as a negative log likelihood.

    A network of two classes has one output f, which stands for the logits -f / 2 and f / 2.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.kernel_samples`` is n.

    Returns:
        The quantities of the table, each ``[K]``, float64. Where no gradient is left, ratios are not numbers.

    Cost: n_outputs backward passes per sample; n x n_outputs x P numbers of memory, one network at a time; the
    eigenvalues
    of a matrix of n x n_outputs rows. Neither nngeometry nor laplace-torch is used: both work on one module at a
    time, and for networks
    this small a matrix of samples is all that is needed.

    Source: Baratin et al. (2021), arXiv:2008.00938, section 3; Thomas et al. (2020), arXiv:1906.07774, section 4; Immer
    et al. (2021), arXiv:2104.04975, equations 5 and 10.
    """
    parts = [_of_one(context, place) for place in range(len(context.cells))]
    return [Measurement(name, torch.stack([part[name] for part in parts]).cpu()) for name in parts[0]]


def _of_one(context: ProbeContext, place: int) -> dict[str, Tensor]:
    """All quantities of one network, float64."""
    count = context.options.kernel_samples
    images, targets = context.train_images[:count].double(), context.train_targets[:count]
    state = {name: value.double() for name, value in network_state(context.state, place).items()}
    parameters = {name: state[name] for name in context.arch.parameters}
    buffers = {name: state[name] for name in context.arch.buffers}
    sample_losses = losses.sample_losses(context.loss)

    def outputs_of(parameters: State, image: Tensor) -> Tensor:
        result: Tensor = functional_call(context.network, {**parameters, **buffers}, (image[None],))
        return result[0]

    def loss_of(outputs: Tensor, target: Tensor) -> Tensor:
        return sample_losses(outputs[None], target[None])[0]

    with torch.no_grad():
        f: Tensor = functional_call(context.network, state, (images,))
    by_name = vmap(jacrev(outputs_of), in_dims=(None, 0))(parameters, images)
    jacobians = torch.cat([value.flatten(2) for value in by_name.values()], dim=2)  # [n, n_outputs, P]
    n, n_outputs, _ = jacobians.shape
    rows = jacobians.flatten(0, 1)
    gram = (rows @ rows.T).view(n, n_outputs, n, n_outputs)
    kernel = torch.einsum("iojo->ij", gram)
    classes = losses.classes(targets)
    slopes = vmap(grad(loss_of))(f, targets)
    own = torch.einsum("ioip->iop", gram)  # J_i J_i'
    second = torch.einsum("io,iop,ip->i", slopes, own, slopes).mean()
    fisher = (own * output_covariance(f)).sum(dim=(1, 2)).mean()
    root = matrix_root(vmap(hessian(loss_of))(f, targets))
    blocks = torch.einsum("iao,iojp,jpb->iajb", root, gram, root).reshape(n * n_outputs, n * n_outputs)
    total = len(context.train_images)
    eigenvalues = torch.linalg.eigvalsh(blocks).clamp(min=0) * total / n
    loss = float(sample_losses(f, targets).mean())
    squared = float(sum(value.square().sum() for value in parameters.values()))
    return {
        "tangent_kernel_alignment": alignment(kernel, (classes[:, None] == classes).double()),
        "tangent_kernel_trace": kernel.diagonal().mean(),
        "tangent_kernel_rank": effective_rank(kernel),
        "fisher_trace": fisher,
        "gradient_second_moment": second,
        "information_ratio": second / fisher,
        "laplace_evidence": torch.tensor(evidence(eigenvalues, squared, loss * total) / total, dtype=torch.float64),
    }


def alignment(kernel: Tensor, other: Tensor) -> Tensor:
    """Cosine of two kernels ``[n, n]``, both centred.

    Source: Cortes, Mohri and Rostamizadeh (2012), JMLR 13, definition 4.
    """
    first, second = (k - k.mean(dim=0) - k.mean(dim=1, keepdim=True) + k.mean() for k in (kernel, other))
    cosine: Tensor = (first * second).sum() / (first.norm() * second.norm())
    return cosine


def effective_rank(kernel: Tensor) -> Tensor:
    """Exponential of the entropy of the eigenvalues of a kernel over their sum."""
    values = torch.linalg.eigvalsh(kernel).clamp(min=0)
    rank: Tensor = torch.special.entr(values / values.sum()).sum().exp()
    return rank


def output_covariance(outputs: Tensor) -> Tensor:
    """Covariance of the gradient of log p(y | x) in the outputs ``[n, n_outputs]``, y of the predicted distribution."""
    p = class_probabilities(outputs)
    if outputs.shape[1] == 1:
        return (p[:, :1] * p[:, 1:])[:, :, None]
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


def matrix_root(matrices: Tensor) -> Tensor:
    """Symmetric roots of symmetric matrices ``[n, p, p]``; negative eigenvalues count as 0."""
    values, vectors = torch.linalg.eigh(matrices)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()[:, None, :]) @ vectors.mT
    return root


def evidence(eigenvalues: Tensor, squared_norm: float, loss: float) -> float:
    """Laplace's log marginal likelihood at the prior precision where it is largest.

    Args:
        eigenvalues: Of the Gauss-Newton matrix of the summed loss; those that are left out are 0.
        squared_norm: ``|theta|^2``.
        loss: Sum of the sample losses.
    """

    def negative(log_precision: float) -> float:
        precision = math.exp(log_precision)
        return loss + precision * squared_norm / 2 + float((eigenvalues / precision).log1p().sum()) / 2

    minimum = minimize_scalar(negative, bounds=(-6 * math.log(10), 6 * math.log(10)), method="bounded")
    return -float(minimum.fun)
