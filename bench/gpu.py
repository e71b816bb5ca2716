"""Packs, and single large networks, against plain PyTorch on the same GPU: ``python -m bench.gpu``.

Needs PyTorch and the packages that training imports; neither Snakemake nor DVC. ``--toy`` shows that it runs, on a
machine without a GPU as well.
"""

import argparse
import functools
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench import ours, peers, rows
from gengap import models
from gengap.studies.settings import Cell

WIDTHS, PACKS = (4, 16, 64), (64, 256, 1024)
NETWORKS = {
    "resnet-56": {"name": "resnet", "depth": 56, "width": 16},
    "vgg-16": {"name": "vgg", "depth": 16, "width": 64},
    "wrn-16-4": {"name": "wide_resnet", "depth": 16, "width": 64},
}
BATCH_SIZES = (128, 1024)
N_IMAGES = 49_152  # 384 batches of 128, 48 of 1024: about an epoch of CIFAR-10
PARTS = ("packs", "networks")

Case = Callable[[], list[rows.Row]]


def main(*, toy: bool, repeats: int, parts: tuple[str, ...] = PARTS) -> Iterator[tuple[str, list[rows.Row]]]:
    """Run every case against every peer.

    Args:
        toy: Tiny sizes, which show only that the benchmark runs.
        repeats: Pairs per case and peer.
        parts: ``packs``, ``networks`` or both.

    Yields:
        The part and the rows of one case, as soon as it is measured; no rows where memory ran out.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    measure = functools.partial(rows.side_by_side, repeats=repeats)
    for part in parts:
        for name, case in (packs if part == "packs" else networks)(device, toy, measure):
            try:
                yield part, case()
            except torch.cuda.OutOfMemoryError:
                print(f"{name}: this GPU's memory is too small, left out", file=sys.stderr)
                yield part, []
            # PyTorch compiles one function only so many times before it gives up on it.
            torch._dynamo.reset()
            gc.collect()
            torch.cuda.empty_cache()


def packs(device: str, toy: bool, measure: Callable[..., rows.Row]) -> Iterator[tuple[str, Case]]:
    """Song's network on 8 x 8 images: every width in every size of pack."""
    batch_size, steps, single_steps = (8, 2, 2) if toy else (128, 40, 200)
    for width in (4,) if toy else WIDTHS:
        for pack in (2,) if toy else PACKS:
            name = f"{prefix(device)}/width={width},batch_size={batch_size},pack={pack}"

            def case(name: str = name, width: int = width, pack: int = pack) -> list[rows.Row]:
                run = ours.pack_loop(width, batch_size, steps, pack, device, compiled=device == "cuda")
                against = {
                    "plain loop with DataLoader": peers.dataloader_loop(width, batch_size, single_steps, device),
                    "resident loop": peers.resident_loop(width, batch_size, single_steps, device),
                }
                return [measure(name, peer, run, theirs, unit="samples/s") for peer, theirs in against.items()]

            yield name, case


def networks(device: str, toy: bool, measure: Callable[..., rows.Row]) -> Iterator[tuple[str, Case]]:
    """Large networks on 32 x 32 images with flips and crops, one at a time, ours in bfloat16."""
    n_images = 16 if toy else N_IMAGES
    workers = 1 if toy else min(16, len(os.sched_getaffinity(0)))
    images, labels = pictures(n_images)
    for network, published in NETWORKS.items():
        model = {**published, "width": 2} if toy else published
        for batch_size in (8,) if toy else BATCH_SIZES:
            name = f"{prefix(device)}/{network},batch_size={batch_size}"

            def case(
                name: str = name, network: str = network, model: dict[str, object] = model, batch_size: int = batch_size
            ) -> list[rows.Row]:
                cell = Cell.model_validate(
                    {
                        "model": model,
                        "loss": "cross_entropy",
                        "optimizer": {"lr": 0.01, "weight_decay": 5e-4},
                        "training": {"dtype": "bfloat16", "augmentation": "flip_crop"},
                    }
                )
                resident = images.to(device), labels.to(device)
                run = ours.training_loop([cell], *resident, 10, batch_size, compiled=device == "cuda")
                found = []
                for mixed in (False, True):
                    net = models.build(cell.model, (3, 32, 32), 10)
                    theirs = peers.workers_loop(net, images, labels, batch_size, device, workers=workers, mixed=mixed)
                    peer = f"DataLoader with {workers} workers, {'bfloat16, channels last' if mixed else 'float32'}"
                    found.append(measure(name, peer, run, theirs, unit="samples/s"))
                if network == "vgg-16":
                    work = operations(net.to("meta")) / 1e12
                    rate = matrix_rate(device, 64 if toy else 8192)
                    found.append(measure(name, "bfloat16 matrix rate", lambda: run() * work, rate, unit="TFLOP/s"))
                return found

            yield name, case


def pictures(n_images: int) -> tuple[Tensor, Tensor]:
    """Random images ``[N, 3, 32, 32]`` and labels of 10 classes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n_images, 3, 32, 32, generator=generator)
    return images, torch.randint(10, (n_images,), generator=generator)


def operations(net: nn.Module) -> float:
    """Floating-point operations of convolutions and matrix products that training on one image takes.

    Args:
        net: On the meta device, so that nothing is computed.
    """
    batch_size = 4
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(batch_size, 3, 32, 32, device="meta")).sum().backward()
    return counter.get_total_flops() / batch_size


def matrix_rate(device: str, size: int) -> Callable[[], float]:
    """The rate of a large product of square matrices in bfloat16 [TFLOP/s]: what the chip can do at its best."""
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    products = 50

    def run() -> float:
        peers.wait(device)
        begin = time.perf_counter()
        for _ in range(products):
            one @ other
        peers.wait(device)
        return products * 2 * size**3 / 1e12 / (time.perf_counter() - begin)

    return run


def prefix(device: str) -> str:
    """First part of a case's name."""
    return "gpu" if device == "cuda" else "toy"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="only show that it runs; writes nothing")
    parser.add_argument("--part", choices=PARTS, help="only packs or only single networks; both if it is left out")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if not options.toy and not torch.cuda.is_available():
        sys.exit(
            "PyTorch finds no GPU, so there is nothing to measure. `python -m bench.gpu --toy` shows that it runs."
        )
    measured: dict[str, list[rows.Row]] = {}
    wanted = (options.part,) if options.part else PARTS
    for which, found in main(toy=options.toy, repeats=options.repeats, parts=wanted):
        measured.setdefault(which, []).extend(found)
        print(rows.show(found), flush=True)
        if not options.toy and found:
            # After every case, so that a run that is cut short leaves what it has measured.
            rows.write(f"gpu_{which}", measured[which])
