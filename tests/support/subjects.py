"""Subjects of probes made by hand: small networks in float64 that moved at random, on random images."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from gengap import losses, models
from gengap.engine import evaluation, stack
from gengap.probes.context import ProbeContext
from gengap.studies.settings import Cell
from gengap.studies.study import Probe

SHAPE = (3, 8, 8)


def subject(
    probe: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    *,
    seeds: tuple[int, ...] = (0, 3),
    epochs: tuple[float, ...] = (0.0, 1.0, 2.0),
    n_train: int = 40,
    n_test: int = 20,
    n_classes: int = 2,
    shape: tuple[int, int, int] = SHAPE,
) -> ProbeContext:
    """Networks that moved by the same random step between one epoch and the next; measured at the last.

    Args:
        probe: The probe's options; ``batchnorm`` is ``exact`` by default.
        settings: Sections of the cells.
        seeds: One network per seed.
        epochs: When they were saved.
        n_train: Training images, standard normal.
        n_test: Test images.
        n_classes: Classes of the random labels.
        shape: ``(channels, height, width)``.
    """
    sections = {"model": {"width": 2}, "loss": {"name": "cross_entropy"}, **(settings or {})}
    cells = tuple(Cell.model_validate({**sections, "seed": seed}) for seed in seeds)
    n_outputs = losses.n_outputs(cells[0].loss, n_classes)
    arch = stack.architecture(models.build(cells[0].model, shape, n_outputs))
    start = stack.initial_state(cells, shape, n_outputs, dtype=torch.float64, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    images, labels = (
        normal(n_train + n_test, *shape),
        torch.randint(n_classes, (n_train + n_test,), generator=generator),
    )
    targets = losses.targets(labels, n_outputs)
    steps = {name: 0.2 * (normal(*v.shape).abs() if "var" in name else normal(*v.shape)) for name, v in start.items()}
    saved = {epoch: {name: v + place * steps[name] for name, v in start.items()} for place, epoch in enumerate(epochs)}
    options = Probe.model_validate({"name": "performance", **probe})
    return ProbeContext(
        arch=arch,
        state=evaluation.for_mode(arch, saved[epochs[-1]], images[:n_train], options.batchnorm),
        start=start,
        batchnorm=options.batchnorm,
        loss=cells[0].loss,
        cells=cells,
        train_images=images[:n_train],
        train_targets=targets[:n_train],
        test_images=images[n_train:],
        test_targets=targets[n_train:],
        options=options,
        measured_at=(epochs[-1],) * len(cells),
        epochs=epochs,
        saved=(saved | {math.inf: saved[epochs[-1]]}).__getitem__,
    )


def by_name(measured) -> dict[tuple[str, str], torch.Tensor]:
    """What was measured, by quantity and layer."""
    return {(one.quantity, one.layer): one.values for one in measured}


def one_network(made: ProbeContext, place: int) -> torch.nn.Module:
    """The ordinary module of one network, in the subject's BatchNorm mode."""
    channels, height, width = made.train_images.shape[1:]
    n_outputs = made.arch.evaluation(torch.zeros(2, channels, height, width, device="meta")).shape[1]
    network = models.build(made.cells[place].model, (channels, height, width), n_outputs).double()
    network.load_state_dict({name: value[place] for name, value in made.state.items()}, strict=False)
    return network.train(made.batchnorm == "batch")
