"""How large a perturbation of the weights a network bears: PAC-Bayes' sigma and bounds, adaptive sharpness, pruning."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from gengap import losses, seeding
from gengap.engine import evaluation
from gengap.engine.stack import State, flatten, take, unflatten
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext

PART = {
    "summary": "PAC-Bayes bounds, adaptive sharpness and prunability: how much the weights may change.",
    "reads": ("samples",),
    "batchnorm": ("running", "exact"),
    "options": {
        "draws": {"type": "int", "default": 10, "ge": 1, "meaning": "Random perturbations that are averaged over."},
        "depth": {"type": "int", "default": 15, "ge": 4, "meaning": "Halvings in a search for a perturbation's size."},
        "average_radius": {"type": "float", "default": 0.1, "gt": 0, "meaning": "rho of the average-case sharpness."},
        "worst_radius": {"type": "float", "default": 0.01, "gt": 0, "meaning": "rho of the worst-case sharpness."},
        "steps": {"type": "int", "default": 10, "ge": 1, "meaning": "Steps of the search for the worst perturbation."},
    },
    "quantities": {
        "pacbayes_flatness": {
            "label": "PAC-Bayes flatness",
            "symbol": "1/\\sigma",
            "meaning": "1 / (sigma sqrt(m)).",
            "rescaling_invariant": False,
        },
        "pacbayes_from_origin": {
            "label": "PAC-Bayes from the origin",
            "meaning": "Root of (|theta|^2 / (4 sigma^2) + log(m / sigma) + 10) / m.",
            "rescaling_invariant": False,
        },
        "pacbayes_from_start": {
            "label": "PAC-Bayes from the start",
            "meaning": "Root of (|theta - theta_0|^2 / (4 sigma^2) + log(m / sigma) + 10) / m.",
            "rescaling_invariant": False,
        },
        "pacbayes_magnitude_flatness": {
            "label": "magnitude-aware PAC-Bayes flatness",
            "symbol": "1/\\sigma'",
            "meaning": "1 / (sigma' sqrt(m)), with perturbations in proportion to the weights.",
            "rescaling_invariant": False,
        },
        "pacbayes_magnitude_from_origin": {
            "label": "magnitude-aware PAC-Bayes from the origin",
            "meaning": "The bound of perturbations in proportion to the weights, from the norm of the weights.",
            "rescaling_invariant": False,
        },
        "pacbayes_magnitude_from_start": {
            "label": "magnitude-aware PAC-Bayes from the start",
            "meaning": "The bound of perturbations in proportion to the weights, from the distance from the start.",
            "rescaling_invariant": False,
        },
        "adaptive_average_sharpness": {
            "label": "adaptive average-case sharpness",
            "meaning": "Mean rise of the training loss of normalized logits under noise in proportion to the weights.",
            "rescaling_invariant": True,
        },
        "adaptive_worst_sharpness": {
            "label": "adaptive worst-case sharpness",
            "meaning": (
                "Largest rise found of the training loss of normalized logits in a box in proportion to the weights."
            ),
            "rescaling_invariant": True,
        },
        "unprunable_share": {
            "label": "share of weights that cannot be pruned",
            "meaning": (
                "Smallest share of the weights, the largest ones, with which the train accuracy falls by at most 0.1."
            ),
            "rescaling_invariant": False,
        },
    },
    "picture": {"quantity": "pacbayes_flatness", "settings": {"samples": 1000}},
}

ACCURACY_LOSS = 0.1  # that a perturbation may cost
LARGEST = 2.0  # sigma that is tried
EPS = 1e-3  # standard deviation that a weight of 0 keeps in the magnitude-aware perturbation


def measure(context: ProbeContext) -> list[Measurement]:
    """Perturb the weights until a tenth of the train accuracy is lost, and by a given amount.

    With theta all parameters (P of them), theta_0 at the start, m the number of training samples, and L the mean loss
    of
    the first `samples` training images:

    * sigma is the largest of 0 to 2 at which the mean train accuracy over `draws` of ``theta + u``, ``u ~ N(0,
      sigma^2)``, is
      at most 0.1 below that of theta, by `depth` halvings; the same normal numbers are scaled in all of them;
    * sigma' is the same for ``u_i ~ N(0, sigma'^2 theta_i^2 + eps^2)``, eps = 0.001. With ``D_i = theta_i -
      theta_i0`` and
      ``R^2`` for `|theta|^2` (from the origin) or `|D|^2` (from the start), the bound is the root of
      ``(sum_i log((eps^2 + (sigma'^2 + 1) R^2 / P) / (eps^2 + sigma'^2 D_i^2)) / 4 + log(m / sigma') + 10) / m``; 0
      where that is
      negative;
    * the adaptive sharpness is the rise of L where the logits f of every sample are divided by
      ``sqrt(mean_k (f_k - mean f)^2)``. Average case: mean over `draws` of ``u_i ~ N(0, rho^2 theta_i^2)``. Worst
      case: the
      largest of `steps` points on a climb in ``|u_i| <= rho |theta_i|`` by the gradient's sign, at least 0. A single
      logit has no
      spread: not a number;
    * the weights of all layers are pruned together, the smallest first.

    A network no more than 0.1 above chance bears everything: its sigma is 2. The deviation of u is sigma, as the
    papers have it. The public code of Dziugaite et al. gives sigma^2 (and
    sigma'^2 theta^2 + eps^2) to a function that takes the standard deviation: its sigma is the root of this one, and
    its
    bounds are not the papers'.

    Args:
        context: K networks and their data; see `ProbeContext`.

    Returns:
        The quantities of the table, each ``[K]``, float64.

    Cost: some 30 times `draws` forward passes, and `steps` gradients.

    Source: Jiang et al. (2020), arXiv:1912.02178, appendix C.5, measures 48 to 61; Dziugaite et al. (2020),
    arXiv:2010.11924,
    appendix; Andriushchenko et al. (2023), arXiv:2302.07011, section 3; Kuhn et al. (2021), arXiv:2103.06219.
    """
    parts = [_of_one(context, place) for place in range(len(context.cells))]
    return [Measurement(name, torch.tensor([part[name] for part in parts], dtype=torch.float64)) for name in parts[0]]


def _of_one(context: ProbeContext, place: int) -> dict[str, float]:
    """All quantities of one network."""
    m = len(context.train_images)
    state = take(context.state, [place])
    theta = flatten(context.arch, state)[0]
    moved = theta.double() - flatten(context.arch, take(context.start, [place]))[0].double()
    generator = torch.Generator().manual_seed(seeding.torch_seed(context.cells[place].seed, seeding.PROBE))
    normal = torch.randn(context.options.draws, len(theta), generator=generator).to(theta)
    accuracy = _accuracy(context, state)
    least = float(accuracy(theta[None])[0]) - ACCURACY_LOSS
    depth = context.options.depth
    sigma = largest(lambda size: float(accuracy(theta + size * normal).mean()) >= least, LARGEST, depth)

    def bearable(size: float) -> bool:
        return float(accuracy(theta + (size**2 * theta.square() + EPS**2).sqrt() * normal).mean()) >= least

    magnitude = largest(bearable, LARGEST, depth)
    squared, distance = float(theta.double().square().sum()), float(moved.square().sum())
    average, worst = _adaptive(context, place, normal.double())
    return {
        "pacbayes_flatness": 1 / (sigma * m**0.5),
        "pacbayes_from_origin": bound(squared, sigma, m),
        "pacbayes_from_start": bound(distance, sigma, m),
        "pacbayes_magnitude_flatness": 1 / (magnitude * m**0.5),
        "pacbayes_magnitude_from_origin": magnitude_bound(squared, moved, magnitude, m),
        "pacbayes_magnitude_from_start": magnitude_bound(distance, moved, magnitude, m),
        "adaptive_average_sharpness": average,
        "adaptive_worst_sharpness": worst,
        "unprunable_share": _unprunable(context, state, accuracy, least),
    }


def bound(squared_distance: float, sigma: float, m: int) -> float:
    """Root of ``(d^2 / (4 sigma^2) + log(m / sigma) + 10) / m``: Jiang's measures 48 and 49."""
    return math.sqrt((squared_distance / (4 * sigma**2) + math.log(m / sigma) + 10) / m)


def magnitude_bound(squared_distance: float, moved: Tensor, sigma: float, m: int) -> float:
    """Jiang's measures 56 and 57; see `measure`.

    Args:
        squared_distance: Squared norm of all parameters, or of `moved`.
        moved: How far each parameter is from its start, ``[P]``.
        sigma: sigma'.
        m: Number of training samples.
    """
    above = EPS**2 + (sigma**2 + 1) * squared_distance / len(moved)
    ratios = above / (EPS**2 + sigma**2 * moved.square())
    return math.sqrt(max(0.0, (float(ratios.log().sum()) / 4 + math.log(m / sigma) + 10) / m))


def largest(bearable: Callable[[float], bool], most: float, halvings: int) -> float:
    """The largest size in (0, most] that is bearable, up to ``most / 2^halvings``: the middle of the last interval."""
    low, high = 0.0, most
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if bearable(middle) else (low, middle)
    return (low + high) / 2


def _accuracy(context: ProbeContext, state: State) -> Callable[[Tensor], Tensor]:
    """The train accuracy ``[D]`` of one network with other parameters ``[D, P]``."""
    images, targets = context.probe_images()
    correct = vmap(losses.correct(context.loss), in_dims=(0, None))

    def accuracy(parameters: Tensor) -> Tensor:
        draws = len(parameters)
        buffers = {name: state[name].expand(draws, *state[name].shape[1:]) for name in context.arch.buffers}
        many = {**buffers, **unflatten(context.arch, parameters)}
        outputs = evaluation.all_outputs(context.arch, many, images, context.batchnorm, BATCH_SIZE)
        return correct(outputs, targets).double().mean(dim=1)

    return accuracy


def _adaptive(context: ProbeContext, place: int, normal: Tensor) -> tuple[float, float]:
    """Average and worst case of the adaptive sharpness with normalized logits, in float64."""
    images, targets = context.probe_images()
    sample_losses = losses.sample_losses(context.loss)
    theta = flatten(context.arch, take(context.state, [place])).double()
    buffers = {name: context.state[name][place].double() for name in context.arch.buffers}
    batches = list(zip(images.split(BATCH_SIZE), targets.split(BATCH_SIZE), strict=True))

    def summed(parameters: Tensor, x: Tensor, y: Tensor) -> Tensor:
        own = {name: value[0] for name, value in unflatten(context.arch, parameters).items()}
        logits: Tensor = functional_call(context.network, {**own, **buffers}, (x.double(),))
        spread = (logits - logits.mean(dim=1, keepdim=True)).square().mean(dim=1, keepdim=True).sqrt()
        return sample_losses(logits / spread, y).sum()

    def loss(parameters: Tensor) -> float:
        with torch.no_grad():
            return float(sum(summed(parameters, x, y) for x, y in batches)) / len(images)

    def gradient(parameters: Tensor) -> Tensor:
        total: Tensor = sum((grad(summed)(parameters, x, y) for x, y in batches), torch.zeros_like(parameters))
        return total

    here, options = loss(theta), context.options
    if not math.isfinite(here):
        return math.nan, math.nan
    rises = [loss(theta + options.average_radius * theta.abs() * draw) - here for draw in normal]
    worst, z = 0.0, torch.zeros_like(theta)
    for _ in range(options.steps):
        # In units of the box: the gradient with respect to z = u / (rho |theta|).
        slope = theta.abs() * gradient(theta + options.worst_radius * theta.abs() * z)
        z = (z + 0.5 * slope.sign()).clamp(-1, 1)
        worst = max(worst, loss(theta + options.worst_radius * theta.abs() * z) - here)
    return sum(rises) / len(rises), worst


def _unprunable(context: ProbeContext, state: State, accuracy: Callable[[Tensor], Tensor], least: float) -> float:
    """Share of the layers' weights that must stay."""
    layers = {f"{layer}.weight" for layer in context.arch.layers}
    theta = flatten(context.arch, state)
    masks = {name: torch.full_like(state[name], float(name in layers)) for name in context.arch.parameters}
    weight = flatten(context.arch, masks)[0] > 0
    sizes = torch.where(weight, theta[0].abs(), torch.inf)
    order, count = sizes.argsort(stable=True), int(weight.sum())

    def bearable(share: float) -> bool:
        pruned = theta.clone()
        pruned[0, order[: round(share * count)]] = 0.0
        return float(accuracy(pruned)[0]) >= least

    return 1.0 - largest(bearable, 1.0, context.options.depth)
