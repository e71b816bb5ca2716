"""Large networks on 32 x 32 images, flipped and cropped, in bfloat16, against ordinary modules: for `bench.gpu`."""

import functools
import os
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench import limits, ours, peers, rows
from gengap import models
from gengap.studies.settings import Cell
from gengap.training.plain_step import make_plain_step
from gengap.training.step import make_step

NETWORKS = {
    "resnet-56": {"name": "resnet", "depth": 56, "width": 16},
    "vgg-16": {"name": "vgg", "depth": 16, "width": 64},
    "wrn-16-4": {"name": "wide_resnet", "depth": 16, "width": 64},
}
TOY_DEPTHS = {"resnet": 8, "vgg": 11, "wide_resnet": 10}
BATCH_SIZES = (128, 1024)
N_IMAGES = 49_152  # 384 batches of 128, 48 of 1024: about an epoch of CIFAR-10
FEW = 4  # networks of a small pack

Measure = Callable[..., rows.Row]


def cases(prefix: str, device: str, toy: bool, measure: Measure) -> Iterator[tuple[str, Callable[[], list[rows.Row]]]]:
    """Every network in every batch size: alone against its peers, and a few together on one stream or several."""
    images, labels = pictures(16 if toy else N_IMAGES)
    for network, published in NETWORKS.items():
        model = {**published, "width": 2, "depth": TOY_DEPTHS[str(published["name"])]} if toy else published
        for batch_size in (8,) if toy else BATCH_SIZES:
            name = f"{prefix}/{network},batch_size={batch_size}"
            shared = (model, images, labels, batch_size, device, toy, measure)
            yield name, functools.partial(_alone, name, *shared)
            yield f"{name},pack={FEW}", functools.partial(_few, f"{name},pack={FEW}", *shared)


def _alone(
    name: str,
    model: dict[str, object],
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    device: str,
    toy: bool,
    measure: Measure,
) -> list[rows.Row]:
    """One network against loops over an ordinary module, our own stacked step, and the chip's limit."""
    resident, compiled = (images.to(device), labels.to(device)), device == "cuda"
    workers = 1 if toy else min(16, len(os.sched_getaffinity(0)))
    train = functools.partial(ours.training_loop, [_cell(model)], *resident, 10, batch_size, compiled=compiled)
    build = functools.partial(models.build, _cell(model).model, (3, 32, 32), 10)
    loop = functools.partial(peers.workers_loop, images=images, labels=labels, batch_size=batch_size, device=device)
    graph = functools.partial(peers.recorded_loop, images=resident[0], labels=resident[1], batch_size=batch_size)
    with torch.device("meta"):
        bound, at_most = limits.limit(limits.demand(build(), (3, 32, 32)), device, torch.bfloat16, toy=toy)
    against = {
        "resident module, bfloat16, channels last, CUDA graph, torch.compile": graph(build(), compiled=compiled),
        "resident module, bfloat16, channels last, CUDA graph": graph(build(), compiled=False),
        "our step of stacks": train(make=make_step),
        bound: at_most,
        f"DataLoader with {workers} workers, bfloat16, channels last": loop(build(), workers=workers, mixed=True),
        f"DataLoader with {workers} workers, float32": loop(build(), workers=workers, mixed=False),
    }
    run = train(make=make_plain_step)
    return [measure(name, peer, run, theirs, unit="samples/s") for peer, theirs in against.items()]


def _few(
    name: str,
    model: dict[str, object],
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    device: str,
    toy: bool,
    measure: Measure,
) -> list[rows.Row]:
    """A few networks one by one: on one stream against several, against the step of stacks, and against one alone."""
    part = slice(0, len(images) if toy else len(images) // FEW)
    train = functools.partial(
        ours.training_loop,
        images=images[part].to(device),
        targets=labels[part].to(device),
        n_outputs=10,
        batch_size=batch_size,
        compiled=device == "cuda",
    )
    few = [_cell(model, seed) for seed in range(FEW)]
    against = {
        "one network alone": train(few[:1], make=make_plain_step),
        "on as many streams": train(few, make=functools.partial(make_plain_step, streams=FEW)),
        "our step of stacks": train(few, make=make_step),
    }
    run = train(few, make=make_plain_step)
    return [measure(name, peer, run, theirs, unit="samples/s") for peer, theirs in against.items()]


def _cell(model: dict[str, object], seed: int = 0) -> Cell:
    return Cell.model_validate(
        {
            "model": model,
            "loss": "cross_entropy",
            "optimizer": {"lr": 0.01, "weight_decay": 5e-4},
            "training": {"dtype": "bfloat16", "augmentation": "flip_crop"},
            "seed": seed,
        }
    )


def pictures(n_images: int) -> tuple[Tensor, Tensor]:
    """Random images ``[N, 3, 32, 32]`` and labels of 10 classes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n_images, 3, 32, 32, generator=generator)
    return images, torch.randint(10, (n_images,), generator=generator)
