"""The step of perceptrons with pruned weights, on the weights that are left.

A step of masked tensors takes as long as one without masks. Here parameters, gradients and what an optimiser keeps have
the weights that are left alone, so a step takes about as much less time as there are fewer weights.
"""

import torch
from torch import Tensor

from gengap import losses, registry
from gengap.engine.cpu import operators, sparse
from gengap.engine.cpu.sparse import Perceptron, Sparsity
from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Cell
from gengap.training import masks
from gengap.training.joined_step import JoinedStep, can_join
from gengap.training.optimizers import OptimizerState
from gengap.training.step import NetworkState, StepInputs, output_gradients_and_loss

WEIGHTS, BIASES = "weights", "biases"  # names of the joined tensors


def is_sparse(arch: Architecture, cell: Cell) -> bool:
    """Whether a CPU trains these networks by this step: a function of their settings only.

    Args:
        arch: Their architecture.
        cell: Any cell of the pack.
    """
    training = cell.training
    plain = training.weights_dtype == "float32" and training.dtype != "bfloat16" and not training.noise_std
    own_images = training.augmentation != "none" or cell.labels.name == "patches"
    if not (cell.after.mostly_pruned and plain and can_join(cell)) or own_images:
        return False
    return sparse.perceptron(arch) is not None and operators.available()


class SparseLayout:
    """Where the numbers of pruned networks are in joined tensors, ``[K, n_weights]`` and ``[K, n_biases]``.

    Where weights are left is part of the joined networks, as masks are of those by name.

    Args:
        arch: Of the networks.
        network: The same.
    """

    are_views = False

    def __init__(self, arch: Architecture, network: Perceptron) -> None:
        self._names, self._network = arch.parameters, network

    def join(self, networks: NetworkState) -> NetworkState:
        """What is left of the networks' tensors."""
        parameters, _, optimizer_state = networks
        left = masks.ones(parameters, self._network.weights) | optimizer_state.get(masks.MASK, {})
        where = sparse.sparsity(self._network, left)

        def joined(part: State) -> State:
            if part.keys() != parameters.keys():  # a count of steps
                return {name: value.clone() for name, value in part.items()}
            weights = sparse.gathered(self._network, where, part)
            return {WEIGHTS: weights, BIASES: sparse.joined_biases(self._network, part)}

        kinds = {kind: joined(part) for kind, part in optimizer_state.items() if kind != masks.MASK}
        return NetworkState(joined(parameters), {}, {**kinds, masks.MASK: where._asdict()})

    def split(self, joined: NetworkState) -> NetworkState:
        """The same networks by name, with zeros where weights are pruned."""
        parameters, _, optimizer_state = joined
        where = Sparsity(**optimizer_state[masks.MASK])

        def named(part: State) -> State:
            if part.keys() != {WEIGHTS, BIASES}:
                return part
            biases = part[BIASES].split(self._network.widths[1:], dim=1)
            found = sparse.scattered(self._network, where, part[WEIGHTS])
            found |= dict(zip(self._network.biases, biases, strict=True))
            return {name: found[name] for name in self._names}

        kinds = {kind: named(part) for kind, part in optimizer_state.items() if kind != masks.MASK}
        left = sparse.scattered(self._network, where, torch.ones_like(parameters[WEIGHTS]))
        return NetworkState(named(parameters), {}, {**kinds, masks.MASK: left})


def make_sparse_step(arch: Architecture, cell: Cell) -> JoinedStep:
    """The same step as `gengap.training.step.make_step`, up to rounding, where `is_sparse`.

    Args:
        arch: Of the networks.
        cell: Any cell of the pack.
    """
    network = sparse.perceptron(arch)
    assert network is not None
    optimizer = registry.load("optimizer", cell.optimizer.name)
    sample_losses = losses.sample_losses(cell.loss)

    def step(
        networks: NetworkState, images: Tensor, targets: Tensor, inputs: StepInputs
    ) -> tuple[NetworkState, Tensor]:
        samples, hyperparameters, _, _ = inputs
        parameters, buffers, optimizer_state = networks
        where = Sparsity(**optimizer_state[masks.MASK])
        weights, biases = parameters[WEIGHTS], parameters[BIASES]
        blocks = sparse.gather_blocks(images, samples)
        maps = sparse.forward(network, where, weights, biases, blocks)
        outputs = sparse.outputs_of(network, maps)[:, : samples.shape[1]]
        output_gradients, loss = output_gradients_and_loss(sample_losses, outputs, targets[samples])
        gradients = sparse.backward(network, where, weights, biases, blocks, maps, output_gradients)
        kinds = {kind: part for kind, part in optimizer_state.items() if kind != masks.MASK}
        moved: tuple[State, OptimizerState] = optimizer.step(
            parameters, dict(zip((WEIGHTS, BIASES), gradients, strict=True)), kinds, hyperparameters, cell.optimizer
        )
        return NetworkState(moved[0], buffers, {**moved[1], masks.MASK: optimizer_state[masks.MASK]}), loss

    return JoinedStep(step, SparseLayout(arch, network))
