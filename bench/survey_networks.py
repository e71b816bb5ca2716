"""Packs of the survey's networks, pruned ones too, against the loop that trains one of them: one thread each."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from bench import ours, peers, rows
from gengap import models
from gengap.studies.settings import After, Cell
from gengap.training.step import make_step

SHAPE, CLASSES, PACK = (1, 28, 28), 10, 5
LEFT, PRUNED_PACK = (0.4, 0.2, 0.1, 0.035), 10  # shares of the weights, as in a study of lottery tickets
# Steps of ours and of the loop: a run takes about a second.
CASES: dict[str, tuple[dict[str, Any], int, int]] = {
    "lenet-300-100": (
        {
            "model": {"name": "mlp", "width": 300, "depth": 2, "proportions": [1, 0.33333333]},
            "optimizer": {"name": "adam", "lr": 0.0012},
            "training": {"batch_size": 60},
        },
        100,
        500,
    ),
    "4096_units": (
        {
            "model": {"name": "mlp", "width": 4096, "depth": 1},
            "optimizer": {"lr": 0.01, "momentum": 0.0},
            "training": {"batch_size": 32},
        },
        10,
        50,
    ),
    "lenet-5": ({"model": {"name": "lenet", "width": 6}, "optimizer": {"lr": 0.01}}, 10, 50),
    "resnet-20": (
        {
            "model": {"name": "resnet", "depth": 20, "width": 4},
            "optimizer": {"lr": 0.1, "momentum": 0.9},
            "training": {"batch_size": 128, "batchnorm": "running"},
        },
        8,
        20,
    ),
    "120_filters": (
        {
            "model": {"name": "patch_conv", "width": 120},
            "optimizer": {"lr": 0.01, "momentum": 0.9},
            "training": {"batch_size": 50},
        },
        10,
        50,
    ),
}


def measured(*, toy: bool, repeats: int, only: str = "") -> list[rows.Row]:
    """Every network in a pack of five, compiled, against the resident loop.

    Args:
        toy: Two steps, uncompiled: shows only that the benchmark runs.
        repeats: Pairs per case.
        only: Words that a case's name must have; empty for all cases.
    """
    found, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    for name, (settings, pack_steps, loop_steps) in CASES.items():
        cells = [Cell.model_validate({"loss": "cross_entropy", **settings, "seed": seed}) for seed in range(PACK)]
        size = cells[0].training.batch_size
        assert isinstance(size, int)
        case = f"cpu/network={name},batch_size={size},pack={PACK},processes=1"
        if only not in case:
            continue
        steps = (2, 2) if toy else (pack_steps, loop_steps)
        (images, labels), (their_images, their_labels) = (data(size * count) for count in steps)
        run = ours.training_loop(cells, images, labels, CLASSES, size, compiled=not toy)
        theirs = resident_loop(cells[0], their_images, their_labels, size)
        found.append(rows.side_by_side(case, "resident loop", run, theirs, unit="samples/s", repeats=repeats))
        print(rows.show(found[-1:]), flush=True)
    torch.set_num_threads(threads)
    return found


def pruned(*, toy: bool, repeats: int, only: str = "") -> list[rows.Row]:
    """LeNet-300-100 with few weights left, in packs of ten, against masked products: our own, and PyTorch's pruning.

    Args:
        toy: As for `measured`.
        repeats: The same.
        only: The same.
    """
    found, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    settings, size = CASES["lenet-300-100"][0], CASES["lenet-300-100"][0]["training"]["batch_size"]
    origin = Cell.model_validate({"loss": "cross_entropy", **settings})
    for left in LEFT:
        case = f"cpu/network=lenet-300-100,left={left},batch_size={size},pack={PRUNED_PACK},processes=1"
        if only not in case:
            continue
        after = After(origin="whole", cell=origin, prune=(1 - left,))
        cells = [origin.model_copy(update={"after": after, "seed": seed}) for seed in range(PRUNED_PACK)]
        n_steps, loop_steps = (2, 2) if toy else (50, 300)
        (images, labels), (their_images, their_labels) = data(size * n_steps), data(size * loop_steps)
        loop = functools.partial(ours.training_loop, cells, images, labels, CLASSES, size, compiled=not toy)
        run = loop()
        against = {
            "the masked step": loop(make=make_step),
            "resident loop, torch.nn.utils.prune": resident_loop(cells[0], their_images, their_labels, size, left),
        }
        for peer, theirs in against.items():
            found.append(rows.side_by_side(case, peer, run, theirs, unit="samples/s", repeats=repeats))
            print(rows.show(found[-1:]), flush=True)
    torch.set_num_threads(threads)
    return found


def data(n_samples: int) -> tuple[Tensor, Tensor]:
    """Random images and classes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n_samples, *SHAPE, generator=generator)
    return images, torch.randint(CLASSES, (n_samples,), generator=generator)


def resident_loop(
    cell: Cell, images: Tensor, labels: Tensor, batch_size: int, left: float = 1.0
) -> Callable[[], float]:
    """One ordinary module, of whose weights a share may be pruned, trained on tensors that are already there."""
    net, settings = models.build(cell.model, SHAPE, CLASSES), cell.optimizer
    if left < 1:
        for layer in (module for module in net.modules() if isinstance(module, nn.Linear)):
            prune.random_unstructured(layer, "weight", amount=1 - left)
    optimizer: torch.optim.Optimizer
    if settings.name == "adam":
        optimizer = torch.optim.Adam(net.parameters(), settings.lr)
    else:
        optimizer = torch.optim.SGD(net.parameters(), settings.lr, settings.momentum)
    return peers.resident_loop_of(net, optimizer, nn.functional.cross_entropy, images, labels, batch_size)
