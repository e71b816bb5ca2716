"""Are the steps of packs right on this GPU, and which sizes of their parts are fastest: ``python -m bench.gpu_check``.

Writes ``bench/results/gpu_check.json``: errors against float64, whether bits depend on the pack and repeat, the time of
every form of tile for every convolution, and of the kernels for every size of block. ``--toy``: on any machine.
"""

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.utils import _pytree as pytree

from bench import peers, rows
from gengap import models
from gengap.engine import stack
from gengap.engine.cuda import tiles
from gengap.engine.fused import passes
from gengap.studies.settings import Cell
from gengap.training import pack_state
from gengap.training.cell_result import CellResult
from gengap.training.fused_step import make_fused_step
from gengap.training.optimizers import stacked_settings
from gengap.training.step import StepInputs, make_step

WIDTHS, PACKS = (4, 16, 64), (1, 2, 64, 256, 1024)
FORMS = {"pixels": (False, False), "rows": (False, True), "maps": (True, True)}


def arguments(cells: list[Cell], batch_size: int, dtype: torch.dtype, device: str) -> tuple[Any, ...]:
    """What a step takes: networks with their initial weights, the data, and a batch of its own for each."""
    where = torch.device(device)
    arch = stack.architecture(models.build(cells[0].model, (3, 8, 8), 1))
    state = stack.initial_state(cells, (3, 8, 8), 1, dtype=dtype, device=where)
    pack = pack_state.start([CellResult(str(cell.seed), cell, "", 0) for cell in cells], arch, state)
    images, targets = (value.to(dtype) for value in peers.data(4 * batch_size, device))
    orders = [torch.randperm(len(images), generator=torch.Generator().manual_seed(cell.seed)) for cell in cells]
    samples = torch.stack(orders)[:, :batch_size].to(device)
    return (
        pack.networks,
        images,
        targets,
        StepInputs(samples, stacked_settings(cells, dtype=dtype, device=where), {}, {}),
    )


def checked(width: int, packs: tuple[int, ...], batch_size: int, device: str, kind: str) -> list[dict[str, Any]]:
    """Of every size of pack: the largest error of weights and statistics after a step, and what the bits do."""
    cells = [Cell.model_validate({"model": {"width": width}, "seed": seed}) for seed in range(max(packs))]
    arch = stack.architecture(models.build(cells[0].model, (3, 8, 8), 1))
    exact, _ = make_step(arch, cells[0])(*arguments(cells[:1], batch_size, torch.float64, device))
    step = make_step(arch, cells[0]) if kind == "stacked" else make_fused_step(arch, cells[0], (3, 8, 8))
    assert step is not None
    found, alone = [], None
    for pack in packs:
        given = arguments(cells[:pack], batch_size, torch.float32, device)
        first, again = (pytree.tree_leaves(step(*given)[0]) for _ in range(2))
        alone = alone or [value[:1].clone() for value in first]
        pairs = list(zip(first, pytree.tree_leaves(exact), strict=True))
        errors = [(a[0].double() - b[0]).abs().max() / b[0].abs().max().clamp(min=1e-3) for a, b in pairs]
        found.append(
            {
                "check": f"width={width},batch_size={batch_size},pack={pack},step={kind}",
                "largest_relative_error": max(error.item() for error in errors),
                "same_bits_as_in_smallest_pack": same(alone, [value[:1] for value in first]),
                "same_bits_again": same(first, again),
            }
        )
    return found


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Whether two lists of tensors are equal bit by bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def tile_times(width: int, pack: int, batch_size: int, device: str) -> list[dict[str, Any]]:
    """Forward and backward time of the convolutions of Song's network, by the form of their tiles."""
    found = []
    for channels, size, stride in ((3, 8, 2), (width, 4, 1), (width, 4, 2), (width, 2, 1)):
        conv = nn.Conv2d(channels, width, 3, stride=stride, padding=1)
        x = torch.randn(pack, batch_size, channels, size, size, device=device)
        weight = torch.randn(pack, *conv.weight.shape, device=device)
        chosen = tiles.best_tiling(conv, (size, size), batch_size)
        for form, whole in FORMS.items():
            tiling = tiles.sides(conv, (size, size), whole)

            def loss(x: Tensor, weight: Tensor, tiling: tiles.Tiling = tiling) -> Tensor:
                return tiles.convolve(x, weight, None, tiling).square().sum()

            run = torch.compile(vmap(grad(loss, argnums=(0, 1)))) if device == "cuda" else vmap(grad(loss, (0, 1)))
            case = f"{channels}->{width},map={size},stride={stride},pack={pack},batch_size={batch_size}"
            taken = {"milliseconds": milliseconds(functools.partial(run, x, weight), device)}
            found.append({"tiles": case, "form": form, "chosen": tiling == chosen, **taken})
    return found


def kernel_times(width: int, pack: int, batch_size: int) -> list[dict[str, Any]]:
    """Time of a whole step by the kernels, not recorded, by samples per block and warps."""
    cells = [Cell.model_validate({"model": {"width": width}, "seed": seed}) for seed in range(pack)]
    arch = stack.architecture(models.build(cells[0].model, (3, 8, 8), 1))
    found = []
    given = arguments(cells, batch_size, torch.float32, "cuda")
    before = passes._BLOCK, passes._WARPS
    for block, warps in ((128, 4), (64, 2), (128, 8), (32, 1)):
        passes._BLOCK, passes._WARPS = block, warps
        step = make_fused_step(arch, cells[0], (3, 8, 8))
        assert step is not None
        taken = {"milliseconds": milliseconds(functools.partial(step, *given), "cuda")}
        found.append({"kernels": f"width={width},pack={pack}", "block": block, "warps": warps, **taken})
    passes._BLOCK, passes._WARPS = before
    return found


def milliseconds(run: Callable[[], object], device: str, repeats: int = 5) -> float:
    """The median time of a call after one that is not counted, by `triton.testing` on a GPU."""
    if device == "cuda":
        import triton.testing

        return float(triton.testing.do_bench(run, quantiles=[0.5]))
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - begin))
    return sorted(times[1:])[repeats // 2]


def main(*, toy: bool, widths: tuple[int, ...]) -> list[dict[str, Any]]:
    """All checks and times; prints each as soon as it is known."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    packs, batch_size = ((1, 3), 16) if toy else (PACKS, 128)
    found = []
    for width in widths:
        parts = [functools.partial(checked, width, packs, batch_size, device, "stacked")]
        if device == "cuda" and width <= 16:
            parts.append(functools.partial(checked, width, packs, batch_size, device, "fused"))
            parts.append(functools.partial(kernel_times, width, 256, batch_size))
        parts.append(functools.partial(tile_times, width, packs[-1] if toy else 256, batch_size, device))
        for part in parts:
            new = part()
            found += new
            print(*(json.dumps(each) for each in new), sep="\n", flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="only show that it runs; writes nothing")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS, help="of Song's network")
    options = parser.parse_args()
    if not options.toy and not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU to check. `python -m bench.gpu_check --toy --widths 4` shows that it runs.")
    content = {
        "hardware": rows.hardware(),
        "torch": torch.__version__,
        "checks": main(toy=options.toy, widths=options.widths),
    }
    if not options.toy:
        (rows.RESULTS / "gpu_check.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
