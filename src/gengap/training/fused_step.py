"""The step of small networks on a GPU by our own kernels: each network's forward and backward pass is a program."""

from torch import Tensor
from torch.func import grad_and_value, vmap

from gengap import losses
from gengap.engine.cuda import fused
from gengap.engine.cuda.program import Program, program
from gengap.engine.graph.network_graph import shaped
from gengap.engine.layers.batchnorm import FunctionalBatchNorm
from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Cell
from gengap.training import random_inputs
from gengap.training.augmentation import augmented
from gengap.training.step import NetworkState, Step, StepInputs, update


def make_fused_step(arch: Architecture, cell: Cell, image_shape: tuple[int, int, int]) -> Step | None:
    """The same step as `gengap.training.step.make_step`, up to rounding; None where the kernels lack a layer.

    Args:
        arch: Of the networks.
        cell: Any cell of the pack; in bfloat16 there are no such kernels.
        image_shape: ``(channels, height, width)``.
    """
    network = random_inputs.network(arch, cell)
    traced = shaped(network, image_shape)
    made = program(traced) if traced is not None and cell.training.dtype != "bfloat16" else None
    if made is None:
        return None
    instructions = made
    norms = {name: network.get_submodule(name) for name in made.norms}
    momenta = {name: norm.momentum for name, norm in norms.items() if isinstance(norm, FunctionalBatchNorm)}
    sample_losses = losses.sample_losses(cell.loss)
    updated = update(arch, cell)

    def mean_loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return sample_losses(outputs, targets).mean()

    def step(
        networks: NetworkState, images: Tensor, targets: Tensor, inputs: StepInputs
    ) -> tuple[NetworkState, Tensor]:
        samples, hyperparameters, augmentations, _ = inputs
        batch = augmented(images, samples, **augmentations) if augmentations else images[samples]
        maps, statistics = fused.maps_and_statistics(instructions, networks.parameters, batch)
        outputs = fused.outputs(instructions, maps)
        output_gradients, loss = vmap(grad_and_value(mean_loss))(outputs, targets[samples])
        gradients = fused.gradients(instructions, networks.parameters, maps, statistics, output_gradients)
        buffers = _running(instructions, momenta, networks.buffers, statistics, samples.shape[1])
        parameters, optimizer_state = updated(networks.parameters, gradients, networks.optimizer_state, hyperparameters)
        return NetworkState(parameters, buffers, optimizer_state), loss

    return step


def _running(made: Program, momenta: dict[str, float], buffers: State, statistics: Tensor, samples: int) -> State:
    """The running statistics after the step, as `FunctionalBatchNorm.keep` has them."""
    new = dict(buffers)
    sizes = [buffers[f"{name}.running_mean"].shape[1] for name in made.norms]
    means, variances = (statistics[:, row].split(sizes, dim=1) for row in (0, 1))
    for name, pixels, mean, variance in zip(made.norms, made.norm_pixels, means, variances, strict=True):
        count = samples * pixels
        unbiased = variance * (count / max(count - 1, 1))
        for kind, value in (("mean", mean), ("var", unbiased)):
            old = buffers[f"{name}.running_{kind}"]
            new[f"{name}.running_{kind}"] = old + momenta[name] * (value - old)
    return new
