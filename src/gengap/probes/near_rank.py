"""Near-rank loss: how many singular values of a network's activations are close to zero."""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gengap.engine.activations import OUTPUT, activation_names, visit
from gengap.engine.numerics.singular_values import float32_singular_values, singular_values, unfolding
from gengap.engine.stack import State, network_state, stacked
from gengap.probes.averages import averaged, mean
from gengap.probes.batches import drawn_batches
from gengap.probes.context import Measurement, ProbeContext

PART = {
    "summary": "Small singular values of every layer's activations, in each mode of the HOSVD (Oyedotun).",
    "options": {
        "draws": {
            "type": "int",
            "default": 5,
            "ge": 1,
            "meaning": "Training batches that the counts are averaged over.",
        },
        "control_size": {
            "type": "int",
            "default": 512,
            "ge": 1,
            "meaning": "Training images in the batch of one size for every cell, the first ones.",
        },
    },
    "quantities": {
        "near_rank": {
            "label": "near-rank loss",
            "symbol": "S",
            "meaning": (
                "Singular values of the activations below 1e-4; a layer and mode's or all together; mean over batches."
            ),
        },
        "near_rank_standard_error": {
            "label": "standard error of the near-rank loss",
            "meaning": "Standard error of `near_rank` over the batches.",
        },
        "near_rank_tight": {
            "label": "near-rank loss at 1e-5",
            "symbol": "S_{10^{-5}}",
            "meaning": "Singular values of the activations below 1e-5; mean over batches.",
        },
        "near_rank_tight_standard_error": {
            "label": "standard error of the near-rank loss at 1e-5",
            "meaning": "Standard error of `near_rank_tight` over the batches.",
        },
        "near_rank_full": {
            "label": "near-rank loss of the full SVD",
            "symbol": "S^{\\mathrm{full}}",
            "meaning": (
                "As `near_rank`, with the zeros by which a full SVD pads the singular values to the size of the mode."
            ),
        },
        "near_rank_tight_full": {
            "label": "near-rank loss of the full SVD at 1e-5",
            "symbol": "S^{\\mathrm{full}}_{10^{-5}}",
            "meaning": (
                "As `near_rank_tight`, with the zeros by which a full SVD pads the singular values to the "
                "size of the mode."
            ),
        },
        "near_rank_share": {
            "label": "share of small singular values",
            "symbol": "S/n",
            "meaning": "Share of the singular values of the activations below 1e-4; mean over batches.",
        },
        "near_rank_relative": {
            "label": "near-rank loss relative to the largest",
            "symbol": "S_{\\mathrm{rel}}",
            "meaning": (
                "Singular values of the activations below 1e-4 of the largest of their layer and mode; "
                "mean over batches."
            ),
        },
        "near_rank_float32": {
            "label": "near-rank loss in float32",
            "symbol": "S_{32}",
            "meaning": (
                "Singular values of the activations below 1e-4 when all is computed in float32, noise "
                "included; the first batch alone."
            ),
        },
        "near_rank_control": {
            "label": "near-rank loss on the control batch",
            "symbol": "S_{\\mathrm{control}}",
            "meaning": ("Singular values of the activations below 1e-4 on one batch that is the same for all cells."),
        },
        "singular_values": {
            "label": "singular values of the activations",
            "symbol": "\\sigma_i",
            "meaning": ("Singular values of one layer's activations in one mode on each batch in descending order."),
        },
        "control_singular_values": {
            "label": "singular values on the control batch",
            "symbol": "\\sigma_i",
            "meaning": (
                "Singular values of one layer's activations in one mode on the batch that is the same for all cells."
            ),
        },
    },
    "picture": {
        "quantity": "singular_values",
        "scale": "log",
        "layers": ("mode=channel", "mode=matrix"),
        "settings": {"epochs": (0, 20)},
    },
}

LOOSE, TIGHT = 1e-4, 1e-5  # absolute thresholds of the source
RELATIVE = 1e-4
_FLOOR = 1e-2 * TIGHT  # values below are told from zero by no count
_MODES = ("batch", "channel", "height", "width")

Spectra = dict[str, Tensor]
Sizes = dict[str, int]


def measure(context: ProbeContext) -> list[Measurement]:
    """Count the singular values of every layer's post-activation output that are below a threshold.

    A batch of ``training.batch_size`` training images goes through the network. A layer after a convolution
    gives a tensor ``[b, C, H, W]``, whose four unfoldings each have their singular values (the HOSVD; mode ``batch``
    is the matrix ``b x CHW``); a linear layer gives one matrix ``b x h``. For each of these, named
    ``<layer>/mode=<mode>``, S is the number of singular values below 1e-4. Layers are those of
    `gengap.engine.activations`: every ReLU (or the identity in its place), and the output.

    An unfolding ``n x m`` has min(n, m) singular values, the *economy* count. A *full* SVD pads them with zeros to the
    size n of the mode, a matrix's to max(b, h): zeros that no training can remove.

    Weights and images are cast to float64, where rounding is about 1e-15 of the largest value; in float32 it is about
    1e-7 of it, near the threshold itself for large batches, and ``near_rank_float32`` shows what that does. A dead
    layer has only zeros; all of them count, also relative to their largest.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.draws`` (5) batches come from each cell's own
            stream of random numbers, the same ones at every epoch. ``options.control_size`` (512) training images,
            the first ones, are one further batch, the same for all cells of a dataset.

    Returns:
        Float64, ``[K]``, by layer and mode and (layer empty) summed over them; means over the draws:
        ``near_rank`` and ``near_rank_tight`` (below 1e-4 and 1e-5, economy), each with its ``_standard_error``,
        ``near_rank_full``, ``near_rank_tight_full``, ``near_rank_relative`` (below 1e-4 of the largest, economy),
        ``near_rank_share`` (of all economy values). From the first draw alone ``near_rank_float32``, from the control
        batch ``near_rank_control``. Arrays by layer and mode: ``singular_values`` ``[K, draw, singular_value]`` and
        ``control_singular_values`` ``[K, singular_value]``, descending; values below 1e-7 stand for 0.

    Raises:
        ValueError: If an activation is not finite.

    Cost: for every batch one forward pass in float64 and, for every unfolding n x m with n <= m, n^2 m multiplications
    and the eigenvalues of an n x n matrix; once in float32 an SVD of each. One layer's outputs are in memory at a time.

    Source: Oyedotun, Papadopoulos and Aouada, near-rank loss, section 4.4, algorithm 1.
    """
    n_samples, draws = len(context.train_images), context.options.draws
    batches = [torch.from_numpy(drawn_batches(cell, n_samples, draws)) for cell in context.cells]
    control = torch.arange(min(context.options.control_size, len(context.train_images)))
    spectra, spectra32, spectra_control = [], [], []
    sizes: Sizes = {}
    for place, own in enumerate(batches):
        state = {name: value.double() for name, value in network_state(context.state, place).items()}
        run = functools.partial(_spectra, context.network, state)
        drawn = [run(context.train_images[index], sizes) for index in own]
        spectra.append(stacked(drawn))
        spectra_control.append(run(context.train_images[control], {}))
        spectra32.append(_spectra32(context.network, state, context.train_images[own[0]]))
    values, controls, single = stacked(spectra), stacked(spectra_control), stacked(spectra32)
    measured = _counts(values, sizes, single, controls)
    for name in values:
        measured.append(Measurement("singular_values", values[name], name, ("draw", "singular_value")))
        measured.append(Measurement("control_singular_values", controls[name], name, ("singular_value",)))
    return measured


def _spectra(network: nn.Module, state: State, images: Tensor, sizes: Sizes) -> Spectra:
    """Singular values of every layer and mode of ONE network, float64; fills in the full number of each."""
    values = functools.partial(singular_values, floor=_FLOOR)
    return _of_layers(network, state, images.double(), values, sizes)


def _spectra32(network: nn.Module, state: State, images: Tensor) -> Spectra:
    single = {name: value.float() for name, value in state.items()}
    return _of_layers(network, single, images.float(), float32_singular_values, {})


def _of_layers(
    network: nn.Module, state: State, images: Tensor, values: Callable[[Tensor], Tensor], sizes: Sizes
) -> Spectra:
    spectra: Spectra = {}

    def keep(layer: str, output: Tensor) -> None:
        modes: Sequence[str] = _MODES if output.dim() == len(_MODES) else ("matrix",)
        for mode, label in enumerate(modes):
            name = f"{layer}/mode={label}"
            matrix = unfolding(output, mode)
            try:
                spectra[name] = values(matrix)
            except ValueError as error:
                raise ValueError(f"near_rank: the outputs of '{layer}' are not finite: {error}") from error
            sizes[name] = max(matrix.shape) if label == "matrix" else len(matrix)

    with torch.no_grad():
        keep(OUTPUT, visit(network, activation_names(network), state, images, keep))
    return spectra


def _counts(values: Spectra, sizes: Sizes, single: Spectra, controls: Spectra) -> list[Measurement]:
    """All counts of spectra ``[K, draws, n]``, of float32 ones and of the control batch's ``[K, n]``."""
    economy = {"near_rank": _below(LOOSE, values), "near_rank_tight": _below(TIGHT, values)}
    zeros = {name: sizes[name] - spectrum.shape[-1] for name, spectrum in values.items()}
    plain = {
        "near_rank_full": {name: count + zeros[name] for name, count in economy["near_rank"].items()},
        "near_rank_tight_full": {name: count + zeros[name] for name, count in economy["near_rank_tight"].items()},
        "near_rank_relative": {
            name: ((s < RELATIVE * s[..., :1]) | (s == 0)).sum(dim=-1).double() for name, s in values.items()
        },
        "near_rank_float32": {name: count[:, None] for name, count in _below(LOOSE, single).items()},
        "near_rank_control": {name: count[:, None] for name, count in _below(LOOSE, controls).items()},
    }
    measured = []
    for quantity, counts in economy.items():
        for layer, count in _and_total(counts).items():
            measured += averaged(quantity, count, layer)
    for quantity, counts in plain.items():
        measured += [Measurement(quantity, mean(count, 1), layer) for layer, count in _and_total(counts).items()]
    numbers = {name: spectrum.shape[-1] for name, spectrum in values.items()}
    numbers[""] = sum(numbers.values())
    for layer, count in _and_total(economy["near_rank"]).items():
        measured.append(Measurement("near_rank_share", mean(count, 1) / numbers[layer], layer))
    return measured


def _below(threshold: float, spectra: Spectra) -> Spectra:
    return {name: (spectrum < threshold).sum(dim=-1).double() for name, spectrum in spectra.items()}


def _and_total(counts: Spectra) -> Spectra:
    """Counts are whole numbers, so their sum has no rounding."""
    return {"": torch.stack(list(counts.values())).sum(dim=0), **counts}
