"""How noisy the gradient of a sample is: trace of the covariance of single-sample gradients, and the noise scale."""

import torch
from torch import Tensor
from torch.func import grad, jvp, vmap

from gengap import losses
from gengap.engine.groups import groups
from gengap.engine.stack import State, concatenate, outputs_and_buffers
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext

PART = {
    "summary": "Covariance of single-sample gradients, and the noise scale (McCandlish 2018).",
    "reads": ("samples",),
    "batchnorm": ("running", "exact"),
    "quantities": {
        "gradient_covariance_trace": {
            "label": "trace of the gradient covariance",
            "symbol": "\\mathrm{tr}\\,\\Sigma",
            "meaning": "Sum of the variances of the entries of single-sample gradients.",
            "rescaling_invariant": False,
        },
        "gradient_covariance_trace_standard_error": {
            "label": "standard error of the trace of the gradient covariance",
            "meaning": "Standard error of `gradient_covariance_trace`.",
        },
        "squared_expected_gradient": {
            "label": "squared norm of the expected gradient",
            "symbol": "|G|^2",
            "meaning": (
                "Squared norm of the mean gradient less the part that sampling noise adds; negative where "
                "noise drowns it."
            ),
        },
        "squared_expected_gradient_standard_error": {
            "label": "standard error of the squared norm of the expected gradient",
            "meaning": "Standard error of `squared_expected_gradient`.",
        },
        "gradient_noise_scale": {
            "label": "gradient noise scale",
            "symbol": "\\mathrm{tr}\\,\\Sigma/|G|^2",
            "unit": "samples",
            "meaning": (
                "Batch size at which the noise of a batch's gradient is as large as the gradient; "
                "infinite where noise drowns it."
            ),
            "rescaling_invariant": False,
        },
        "gradient_noise_scale_standard_error": {
            "label": "standard error of the gradient noise scale",
            "unit": "samples",
            "meaning": "Standard error of `gradient_noise_scale`.",
        },
        "gradient_signal_to_noise": {
            "label": "signal-to-noise ratio of single-sample gradients",
            "symbol": "|G|^2/\\mathrm{tr}\\,\\Sigma",
            "meaning": (
                "Squared norm of the expected gradient divided by the trace of the covariance of "
                "single-sample gradients."
            ),
            "rescaling_invariant": False,
        },
        "gradient_signal_to_noise_standard_error": {
            "label": "standard error of the signal-to-noise ratio of single-sample gradients",
            "meaning": "Standard error of `gradient_signal_to_noise`.",
        },
    },
    "picture": {
        "quantity": "gradient_noise_scale",
        "settings": {"samples": 2000},
    },
}

BUDGET = 16_000_000  # numbers that one network's single-sample gradients may take: 64 MB in float32


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure the simple noise scale ``B = tr(Sigma) / |G|^2`` at the checkpoint.

    The N samples count as independent draws. With g_i the gradient of sample i's loss with respect to all parameters
    and g their mean,

    * ``tr(Sigma) = sum_i |g_i - g|^2 / (N - 1)``, the trace of the covariance of g_i;
    * ``|G|^2 = |g|^2 - tr(Sigma) / N``, unbiased for the squared norm of the expected gradient. It may come out
      negative where noise drowns it; the noise scale is then infinite;
    * the signal-to-noise ratio of one sample's gradient, ``|G|^2 / tr(Sigma) = 1 / B``.

    B is the batch size at which a batch gradient's noise is as large as the gradient itself. Standard errors are the
    jackknife's: every sample is left out once, which needs only ``|g_i|^2`` and ``g_i . g``. BatchNorm's statistics
    are constants: with a batch's own (mode ``batch``) a sample has no gradient of its own.

    Cost: every sample's gradient once, in chunks of bounded size, and its directional derivative once. Sums are in
    float64, gradients in the dtype of the weights; one number per sample is kept, no gradient.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.samples`` is N.

    Returns:
        ``gradient_covariance_trace``, ``squared_expected_gradient``, ``gradient_noise_scale`` [samples] and
        ``gradient_signal_to_noise``, each with its ``_standard_error``; ``[K]``, float64.

    Raises:
        ValueError: With fewer than three samples, of which no standard error can be had.

    Source: McCandlish, Kaplan, Amodei et al. (2018), arXiv:1812.06162, section 2.2, equation 2.9, and appendix A.1;
        Efron and Stein (1981) for the jackknife.
    """
    images, targets = context.probe_images()
    if len(images) < 3:
        raise ValueError(f"{len(images)} samples give no standard error. Set the probe's `samples` to 3 or more")
    chunk = max(1, min(BATCH_SIZE, BUDGET // context.arch.n_parameters))
    parts = [
        _with_errors(*_moments(context, part, images, targets, chunk)) for part in groups(context.state, images, chunk)
    ]
    return [Measurement(name, values) for name, values in concatenate(parts).items()]


def _with_errors(mean_square: Tensor, squares: Tensor, along: Tensor) -> dict[str, Tensor]:
    """The quantities and their standard errors from the moments of single-sample gradients."""
    count = squares.shape[1]
    estimates = _estimates(count, squares.sum(dim=1), mean_square)
    without = (count**2 * mean_square[:, None] - 2 * count * along + squares) / (count - 1) ** 2
    left_out = _estimates(count - 1, squares.sum(dim=1, keepdim=True) - squares, without)
    errors = {name: (count - 1) ** 0.5 * values.std(dim=1, correction=0) for name, values in left_out.items()}
    return estimates | {f"{name}_standard_error": value for name, value in errors.items()}


def _estimates(count: int, sum_of_squares: Tensor, mean_square: Tensor) -> dict[str, Tensor]:
    """The four quantities from ``sum_i |g_i|^2`` and ``|mean_i g_i|^2`` of `count` samples."""
    trace = (sum_of_squares - count * mean_square) / (count - 1)
    signal = mean_square - trace / count
    return {
        "gradient_covariance_trace": trace,
        "squared_expected_gradient": signal,
        "gradient_noise_scale": torch.where(signal > 0, trace / signal, torch.inf),
        "gradient_signal_to_noise": signal / trace,
    }


def _moments(context: ProbeContext, state: State, images: Tensor, targets: Tensor, chunk: int) -> tuple[Tensor, ...]:
    """Of a stack's single-sample gradients: ``|g|^2`` ``[K]``, ``|g_i|^2`` and ``g_i . g`` ``[K, N]``, float64."""
    sample_losses = losses.sample_losses(context.loss)
    parameters = {name: state[name].detach() for name in context.arch.parameters}
    buffers = {name: state[name] for name in context.arch.buffers}
    chunks = list(zip(images.split(chunk), targets.split(chunk), strict=True))

    def losses_of(parameters: State, buffers: State, x: Tensor, y: Tensor) -> Tensor:
        outputs, _ = outputs_and_buffers(context.arch, context.network, {**parameters, **buffers}, x)
        return sample_losses(outputs, y)

    def loss_of_one(parameters: State, buffers: State, x: Tensor, y: Tensor) -> Tensor:
        return losses_of(parameters, buffers, x[None], y[None])[0]

    def derivatives(parameters: State, buffers: State, direction: State, x: Tensor, y: Tensor) -> Tensor:
        result: Tensor = jvp(lambda moved: losses_of(moved, buffers, x, y), (parameters,), (direction,))[1]
        return result

    single = vmap(vmap(grad(loss_of_one), in_dims=(None, None, 0, 0)), in_dims=(0, 0, None, None))
    total = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in parameters.items()}
    squares = []
    for x, y in chunks:
        gradients = single(parameters, buffers, x, y)
        for name, value in gradients.items():
            total[name] += value.sum(dim=1, dtype=torch.float64)
        norms = [torch.linalg.vector_norm(v.flatten(2), dim=2, dtype=torch.float64) for v in gradients.values()]
        squares.append(torch.stack(norms).square().sum(dim=0))
    mean = {name: value / len(images) for name, value in total.items()}
    mean_square = torch.stack([value.flatten(1).square().sum(dim=1) for value in mean.values()]).sum(dim=0)
    direction = {name: value.to(parameters[name]) for name, value in mean.items()}
    mapped = vmap(derivatives, in_dims=(0, 0, 0, None, None))
    along = [mapped(parameters, buffers, direction, x, y).double() for x, y in chunks]
    return mean_square, torch.cat(squares, dim=1), torch.cat(along, dim=1)
