"""Every eigenvalue of the Hessian of the training loss, of a network small enough for the whole matrix."""

import torch

from gengap.engine.hessian.full import full_hessian
from gengap.engine.stack import stacked, take
from gengap.probes.context import Measurement, ProbeContext, finite

PART = {
    "summary": "Every eigenvalue of the training loss's Hessian, up to 5,000 parameters.",
    "reads": ("samples",),
    "quantities": {
        "hessian_eigenvalues": {
            "label": "eigenvalues of the Hessian",
            "symbol": "\\lambda_i",
            "meaning": (
                "Eigenvalues of the Hessian of the mean training loss with respect to all parameters, ascending."
            ),
        },
        "hessian_largest": {
            "label": "largest eigenvalue of the Hessian",
            "symbol": "\\lambda_{\\max}",
            "meaning": "Largest signed eigenvalue of the Hessian of the mean training loss.",
            "rescaling_invariant": False,
        },
        "hessian_smallest": {
            "label": "smallest eigenvalue of the Hessian",
            "symbol": "\\lambda_{\\min}",
            "meaning": ("Smallest signed eigenvalue of the Hessian of the mean training loss; negative at a saddle."),
        },
        "hessian_trace": {
            "label": "trace of the Hessian",
            "symbol": "\\mathrm{tr}\\,H",
            "meaning": "Sum of the eigenvalues of the Hessian of the mean training loss.",
            "rescaling_invariant": False,
        },
        "hessian_negative_count": {
            "label": "negative eigenvalues of the Hessian",
            "meaning": "How many eigenvalues are negative beyond rounding, P eps times the largest magnitude.",
        },
        "hessian_null_count": {
            "label": "null eigenvalues of the Hessian",
            "meaning": "How many eigenvalues are 0 up to rounding, P eps times the largest magnitude.",
        },
        "hessian_error": {
            "label": "relative error of the Hessian",
            "symbol": "\\|Hv-(Hv)_{ad}\\|/\\|(Hv)_{ad}\\|",
            "meaning": (
                "How far the symmetrised Hessian's product with a random vector is from that by automatic "
                "differentiation, relative to its norm: rounding and asymmetry."
            ),
        },
    },
    "picture": {
        "quantity": "hessian_eigenvalues",
        "scale": "symlog",
        "settings": {"epochs": (0, 1, 20), "samples": 1000},
    },
}

LARGEST = 5000  # Parameters: the matrix then takes 200 MB and its eigenvalues some minutes.


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure the spectrum of H, the Hessian of the mean training loss with respect to all parameters.

    Everything is computed in float64, also for weights of another dtype. H is symmetrised, ``(H + H^T) / 2``; how far
    that, and everything else, is from a product by automatic differentiation is measured as `hessian_error`, which
    rounding leaves at about 1e-14. In BatchNorm mode ``batch`` the derivatives flow through the statistics of each
    run of 1,000 samples, as in training, and biases in front of a BatchNorm are exact null directions; in the modes
    ``running`` and ``exact`` the statistics are constants. A positive or negative eigenvalue is one beyond
    ``P eps max |eigenvalue|``, eps that of float64, P the number of parameters; the others are null.

    Where the loss or a ReLU has a kink, the derivative is that of the side which PyTorch takes: the smooth hinge with
    p = 2 has second derivative 2 below its margin and 0 above.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.samples`` limits the samples.

    Returns:
        ``hessian_eigenvalues`` ``[K, P]``, ascending; ``hessian_largest``, ``hessian_smallest``, ``hessian_trace``,
        ``hessian_negative_count``, ``hessian_null_count`` and ``hessian_error``, each ``[K]``; float64.

    Raises:
        ValueError: If a network has more than 5,000 parameters, or weights that are not finite.

    Source: Song (2019), figure 3.3, largest eigenvalue; Sagun et al. (2017), arXiv:1706.04454, whole spectra.
    """
    size = context.arch.n_parameters
    if size > LARGEST:
        raise ValueError(
            f"{size:,} parameters are too many: at most {LARGEST:,} have a whole Hessian. Use hessian_extremes"
        )
    rows = []
    for place, cell in enumerate(context.cells):
        hessian = full_hessian(context.objective(finite(take(context.state, [place]))), seed=cell.seed)
        values = torch.linalg.eigvalsh(hessian.matrix)
        null = size * torch.finfo(torch.float64).eps * values.abs().max()
        rows.append(
            {
                "hessian_eigenvalues": values,
                "hessian_largest": values[-1],
                "hessian_smallest": values[0],
                "hessian_trace": hessian.matrix.trace(),
                "hessian_negative_count": (values < -null).sum().double(),
                "hessian_null_count": (values.abs() <= null).sum().double(),
                "hessian_error": torch.tensor(hessian.error, dtype=torch.float64),
            }
        )
    return [
        Measurement(quantity, values, dims=("eigenvalue",) * (values.dim() - 1))
        for quantity, values in stacked(rows).items()
    ]
