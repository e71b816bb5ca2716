"""How the teacher's hidden nodes reach the student's through the outputs: H* and beta* of Luck Matters."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from gengap.engine.activations import OUTPUT, activations
from gengap.engine.stack import Architecture, State, n_networks, network_state, take
from gengap.probes.context import Measurement, ProbeContext, Teacher
from gengap.probes.node_correlation import correlations, teacher_of

PART = {
    "summary": "How nodes of student and teacher act on the same outputs: H* and beta* (Luck Matters 2019).",
    "reads": ("samples",),
    "batchnorm": ("running", "exact"),
    "teacher": True,
    "quantities": {
        "coupling": {
            "label": "coupling",
            "symbol": "\\beta^*_{jk}",
            "meaning": (
                "Mean inner product of the derivatives of all outputs with respect to teacher node j and "
                "student node k."
            ),
        },
        "gated_coupling": {
            "label": "gated coupling",
            "symbol": "H^*_{jk}",
            "meaning": "The same, counted only for samples that open both nodes' ReLUs.",
        },
        "coupling_contrast": {
            "label": "contrast of the coupling",
            "meaning": (
                "Mean absolute coupling of teacher nodes with the student nodes that correlate most with "
                "them divided by that with the other teacher nodes' students."
            ),
        },
        "gated_coupling_contrast": {
            "label": "contrast of the gated coupling",
            "meaning": (
                "Mean absolute gated coupling of teacher nodes with the student nodes that correlate most "
                "with them divided by that with the other teacher nodes' students."
            ),
        },
    },
    "picture": {
        "quantity": "gated_coupling_contrast",
        "settings": {"samples": 500},
    },
}

_BUDGET = 16_000_000  # entries of the Jacobians of one call


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure how node j of the teacher and node k of a student, in layers of one name, act on the same outputs.

    With V_k(x), V*_j(x) the derivatives of all outputs with respect to the node's value after its ReLU, and g its gate
    1[value before the ReLU > 0], means over the probe's images of

    * ``coupling``: beta*[j, k] = V_k . V*_j
    * ``gated_coupling``: H*[j, k] = g_k g*_j V_k . V*_j

    For linear layers and ReLUs alone these are the blocks of nodes in the authors' recursion over weights with the
    biases appended: H = 1 at the outputs, beta = W^T H W* down through a layer, H = g beta g* through its ReLUs. With
    no biases, the gradient of half the squared error to the teacher's outputs, with respect to what enters the
    student's nodes f, is H f - H* f* at every sample. BatchNorm counts as the linear map that its statistics make of
    it; the authors leave it out.

    The ``_contrast`` of either says how well teacher nodes are told apart. With k(j) the student node that correlates
    most with j at the same epoch (see `node_correlation`), it is the mean of |H*[j, k(j)]| divided by the mean of
    |H*[j, k(i)]| over i != j; j and i are live.

    Cost: n_outputs backward passes per image; a thousand images are enough for a picture.

    Args:
        context: K networks, their teacher and images; see `ProbeContext`. ``options.samples`` limits the images.

    Returns:
        By layer, float64: the arrays ``coupling`` and ``gated_coupling`` ``[K, teacher_node, student_node]``, and
        ``coupling_contrast`` and ``gated_coupling_contrast`` ``[K]``. Layers whose nodes have one value per sample are
        measured; those of a convolution are left out, since each pair of channels has a matrix over positions there.

    Raises:
        ValueError: If there is no teacher, if it has other outputs than the networks, or if they share no fully
            connected hidden layer.

    Source: Tian et al. (2019), arXiv:1905.13405, figure 10, and the authors' code.
    """
    teacher = teacher_of(context)
    images, _ = context.probe_images()
    by_layer = couplings(context.arch, context.state, teacher, images)
    correlated = correlations(context, teacher, context.state)
    measured = []
    for layer, pair in by_layer.items():
        best, live = correlated[layer].rho[:, 0].argmax(dim=2), correlated[layer].live_teacher
        for quantity, values in zip(("coupling", "gated_coupling"), pair, strict=True):
            contrasts = [_contrast(*network) for network in zip(values, best, live, strict=True)]
            measured.append(Measurement(quantity, values, layer, ("teacher_node", "student_node")))
            measured.append(Measurement(f"{quantity}_contrast", torch.stack(contrasts), layer))
    return measured


def couplings(arch: Architecture, state: State, teacher: Teacher, images: Tensor) -> dict[str, Tensor]:
    """Mean couplings of a stack of networks with a teacher.

    Args:
        arch: The networks' architecture.
        state: Stacked state ``[K, ...]``, its statistics those of the BatchNorm mode.
        teacher: Any network with as many outputs.
        images: ``[N, C, H, W]``.

    Returns:
        By layer beta* and H*, ``[2, K, teacher nodes, student nodes]``, float64.

    Raises:
        ValueError: See `measure`.
    """
    ours, theirs = _units(arch, state, images[:1]), _units(teacher.arch, teacher.state, images[:1])
    n_outputs = ours.pop(OUTPUT)
    if theirs.pop(OUTPUT) != n_outputs:
        raise ValueError("the teacher has another number of outputs than the network, so they have none in common")
    layers = [layer for layer in ours if layer in theirs]
    if not layers:
        raise ValueError(
            "couplings are measured in fully connected hidden layers that network and teacher share by name, and there "
            "is none: choose model mlp with a teacher of its kind, or remove the probe"
        )
    student_network, teacher_network = _tapped(arch.evaluation, layers), _tapped(teacher.arch.evaluation, layers)
    size = n_networks(state)
    total = {
        layer: torch.zeros(2, size, theirs[layer], ours[layer], dtype=torch.float64, device=images.device)
        for layer in layers
    }
    entries = 2 * n_outputs * sum(max(ours[layer], theirs[layer]) for layer in layers)
    for batch in images.split(max(1, _BUDGET // entries)):
        taught = _jacobians(teacher_network, network_state(teacher.state, 0), theirs, batch, layers)
        for place in range(size):
            learned = _jacobians(student_network, network_state(state, place), ours, batch, layers)
            for layer in layers:
                total[layer][:, place] += taught[layer].mT @ learned[layer]
    return {layer: values / len(images) for layer, values in total.items()}


def _units(arch: Architecture, state: State, image: Tensor) -> dict[str, int]:
    """Numbers of nodes of the hidden layers with one value per node and sample, and of outputs."""
    first = take(state, [0])
    outputs = activations(arch.evaluation, first, image)
    return {layer: values.shape[2] for layer, values in outputs.items() if values.dim() == 3}


class _Tapped(nn.Module):
    """An activation with a place to move its input and its output, so that both can be differentiated by."""

    before: Tensor
    after: Tensor

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation
        self.register_buffer("before", torch.zeros(()))
        self.register_buffer("after", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, nodes]``."""
        result: Tensor = self.activation(x + self.before) + self.after
        return result


def _tapped(network: nn.Module, layers: Sequence[str]) -> nn.Module:
    network = copy.deepcopy(network)
    for layer in layers:
        network.set_submodule(layer, _Tapped(network.get_submodule(layer)))
    return network


def _jacobians(
    network: nn.Module, state: State, units: Mapping[str, int], images: Tensor, layers: Sequence[str]
) -> dict[str, Tensor]:
    """Derivatives of all outputs of one network with respect to its nodes, and to what enters them.

    Returns:
        By layer ``[2, n_outputs N, nodes]``, float64: V, then V where the gate is open and 0 where it is not.
    """
    shifts = [f"{layer}.{side}" for layer in layers for side in ("after", "before")]
    still = {shift: images.new_zeros(len(images), units[shift.rpartition(".")[0]]) for shift in shifts}

    def outputs_of(moves: State) -> Tensor:
        result: Tensor = functional_call(network, {**state, **moves}, (images,))
        return result

    # Samples do not meet in evaluation mode, so one pull gives an output's derivative for every sample.
    outputs, pull = vjp(outputs_of, still)[:2]
    each_output = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
    (derivatives,) = vmap(pull)(each_output.unsqueeze(1).expand(-1, *outputs.shape))
    return {
        layer: torch.stack([derivatives[f"{layer}.{side}"].flatten(0, 1) for side in ("after", "before")]).double()
        for layer in layers
    }


def _contrast(values: Tensor, best: Tensor, live: Tensor) -> Tensor:
    """Mean size on the diagonal over that off it, of the block of live teacher nodes and their best students.

    Args:
        values: ``[teacher nodes, student nodes]``.
        best: A student for each teacher node.
        live: Which teacher nodes count.
    """
    block = values[live][:, best[live]].abs()
    diagonal = block.diagonal().sum()
    count = len(block)
    return (diagonal / count) / ((block.sum() - diagonal) / (count * (count - 1)))
