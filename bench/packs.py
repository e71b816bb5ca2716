"""Packs of Song's network on 8 x 8 images against plain PyTorch on the same GPU: for `bench.gpu`."""

import functools
import importlib.util
import os
import time
from collections.abc import Callable, Iterator

import torch

from bench import limits, ours, peers, rows
from gengap.engine.stack import Architecture
from gengap.studies.settings import Cell
from gengap.training import cuda_graph
from gengap.training.fused_step import make_fused_step
from gengap.training.step import Step

WIDTHS, PACKS = (4, 16, 64), (64, 256, 1024)

Measure = Callable[..., rows.Row]


def cases(start: str, device: str, toy: bool, measure: Measure) -> Iterator[tuple[str, Callable[[], list[rows.Row]]]]:
    """Every width in every size of pack: the compiled step against peers, our other steps against the compiled one."""
    for width in (4,) if toy else WIDTHS:
        for pack in (2,) if toy else PACKS:
            name = f"{start}/width={width},batch_size={8 if toy else 128},pack={pack}"
            yield name, functools.partial(_case, name, width, pack, device, toy, measure)


def _case(name: str, width: int, pack: int, device: str, toy: bool, measure: Measure) -> list[rows.Row]:
    batch_size, steps, single_steps = (8, 2, 2) if toy else (128, 40, 200)
    on_gpu = device == "cuda"
    measure = functools.partial(measure, unit="samples/s")
    stacked = ours.pack_loop(width, batch_size, steps, pack, device, compiled=on_gpu)
    against = {
        "plain loop with DataLoader": peers.dataloader_loop(width, batch_size, single_steps, device),
        "resident loop": peers.resident_loop(width, batch_size, single_steps, device),
        "resident loop, CUDA graph": recorded_loop(width, batch_size, single_steps, device),
        "torch.func ensemble, compiled": peers.ensemble_loop(width, batch_size, steps, pack, device, compiled=on_gpu),
    }
    if on_gpu and importlib.util.find_spec("jax"):
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # which would take most of the GPU's memory
        from bench import jax_peer

        against[f"JAX, {jax_peer.form_of(width)}"] = jax_peer.pack_loop(width, batch_size, steps, pack)
    asked = limits.demand(peers.network(width, "meta"), (3, 8, 8))
    bound, at_most = limits.limit(asked, device, torch.float32, toy=toy)
    found = [measure(name, peer, stacked, theirs) for peer, theirs in {**against, bound: at_most}.items()]
    others = {"uncompiled": ours.pack_loop(width, batch_size, steps, pack, device, compiled=False)}
    if on_gpu:  # the kernels need one, or Triton's slow interpreter
        make = {"fused": (fused_step, False), "fused, rest compiled": (fused_step, True)}
        for words, (maker, compiled) in make.items():
            others[words] = ours.pack_loop(width, batch_size, steps, pack, device, compiled=compiled, make=maker)
    return found + [measure(f"{name},step={words}", "our compiled step", run, stacked) for words, run in others.items()]


def fused_step(arch: Architecture, cell: Cell) -> Step:
    """The step by our own kernels, which know all layers of Song's network."""
    step = make_fused_step(arch, cell, (3, 8, 8))
    assert step is not None
    return step


def recorded_loop(width: int, batch_size: int, n_steps: int, device: str) -> Callable[[], float]:
    """The resident loop of an expert: the whole step recorded as a CUDA graph; on a processor nothing is recorded."""
    images, labels = peers.data(batch_size * n_steps, device)
    net = peers.network(width, device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, fused=True)
    samples = torch.arange(batch_size, device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        peers.hinge(net(images[samples]), labels[samples]).backward()
        optimizer.step()

    replay = cuda_graph.recorded(step) if device == "cuda" else step

    def run() -> float:
        begin = time.perf_counter()
        for index in torch.randperm(len(images), device=device).split(batch_size):
            samples.copy_(index)
            replay()
        peers.wait(device)
        return batch_size * n_steps / (time.perf_counter() - begin)

    return run
