"""What the kernels' step is called with: networks and their data, in the cases that a step is made of."""

import torch

from gengap import models
from gengap.engine import stack
from gengap.labels.patching import Patches
from gengap.studies.settings import Cell
from gengap.training import augmentation, pack_state, patches
from gengap.training.cell_result import CellResult
from gengap.training.optimizers import stacked_settings
from gengap.training.step import StepInputs

CPU, SHAPE, N = torch.device("cpu"), (3, 8, 8), 48


def prepared(n_networks=3, batch_size=32, pruned=False, patched=False, shape=SHAPE, **settings):
    """Architecture, cells and the arguments of a step, by default of Song's network."""
    base = {"model": {"width": 4}, **settings}
    cells = [Cell.model_validate({**base, "seed": seed}) for seed in range(n_networks)]
    outputs = 3 if cells[0].loss.name == "cross_entropy" else 1
    arch = stack.architecture(models.build(cells[0].model, shape, outputs))
    state = stack.initial_state(cells, shape, outputs, dtype=torch.float32, device=CPU)
    generator = torch.Generator().manual_seed(0)
    n = max(N, batch_size)
    images = torch.randn(n, *shape, generator=generator)
    classes = torch.randint(outputs if outputs > 1 else 2, (n,), generator=generator)
    targets = classes if outputs > 1 else 2.0 * classes - 1
    weights = {name: state[name] for name in arch.parameters}
    masks = {name: (torch.rand(value.shape, generator=generator) > 0.3).float() for name, value in weights.items()}
    results = [CellResult(str(cell.seed), cell, "", 0) for cell in cells]
    pack = pack_state.start(results, arch, state, masks if pruned else None)
    drawn = augmentation.draws(cells, 0, n, CPU)
    if patched:
        common, by_class = (torch.randn(*size, generator=generator) for size in ((3, 2, 2), (2, 3, 2, 2)))
        members = torch.arange(n) % 2 == 0
        drawn |= patches.draws(cells, Patches(images, classes, members, common, by_class, 0.5, 0.1), 0)
    orders = torch.stack([torch.randperm(n, generator=generator)[:batch_size] for _ in cells])
    inputs = StepInputs(orders, stacked_settings(cells, dtype=torch.float32, device=CPU), drawn, {})
    return arch, cells[0], (pack.networks, images, targets, inputs)


CASES = {
    "momentum and decay": {"optimizer": {"momentum": 0.9, "weight_decay": 0.1}},
    "adam": {"optimizer": {"name": "adam", "momentum": 0.0, "lr": 0.001}},
    "cross-entropy": {"loss": {"name": "cross_entropy"}},
    "pruned": {"pruned": True},
    "subspace": {"training": {"subspace": 5, "projection": "sparse"}},
    "augmented": {"training": {"augmentation": "flip_crop"}},
    "patches": {"patched": True},
    "one network": {"n_networks": 1},
    "several blocks of samples": {"batch_size": 400},
    # No whole vectors, and BatchNorm would measure what fills them: the stacked step.
    "other batch": {"batch_size": 30},
    "other batch, augmented": {
        "batch_size": 30,
        "model": {"name": "patch_conv", "batchnorm": "none"},
        "training": {"augmentation": "flip_crop"},
    },
    "other batch, squared loss": {
        "batch_size": 45,
        "model": {"name": "patch_conv", "batchnorm": "none"},
        "loss": "squared",
    },
}
