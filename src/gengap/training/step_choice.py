"""Which of the steps trains a pack, and whether a CPU compiles it."""

import torch

from gengap.engine.stack import Architecture
from gengap.studies.settings import Cell
from gengap.training import step_cost
from gengap.training.fused_step import computed_samples, fuses, groups, make_fused_step, make_joined_step
from gengap.training.joined_step import can_join
from gengap.training.plain_step import fills, make_plain_step
from gengap.training.sparse_step import is_sparse, make_sparse_step
from gengap.training.step import Step, make_step


def make(
    arch: Architecture,
    cell: Cell,
    image_shape: tuple[int, int, int],
    batch_size: int,
    device: torch.device,
    kind: str = "auto",
) -> Step:
    """The step of this kind, or the stacked one where the kernels lack a layer.

    Args:
        arch: Of the networks.
        cell: Any cell of the pack.
        image_shape: ``(channels, height, width)``.
        batch_size: Samples per step.
        device: Where they are trained.
        kind: ``stacked``, ``fused``, ``plain`` or ``auto``; see `gengap.training.RunOptions`.
    """
    if kind == "auto" and device.type == "cpu" and is_sparse(arch, cell):
        return make_sparse_step(arch, cell)
    if kind == "plain" or (kind == "auto" and fills(arch, batch_size, image_shape, device)):
        return make_plain_step(arch, cell)
    fused = kind == "fused" or (kind == "auto" and device.type == "cpu" and fuses(arch, cell, image_shape, batch_size))
    joins = device.type == "cpu" and can_join(cell)  # a GPU replays its operations without calling them
    made = (make_joined_step if joins else make_fused_step)(arch, cell, image_shape) if fused else None
    return made or make_step(arch, cell)


def pays_to_compile(
    arch: Architecture,
    cell: Cell,
    image_shape: tuple[int, int, int],
    *,
    n_networks: int,
    batch_size: int,
    n_steps: int,
) -> bool:
    """Whether a CPU compiles the step that it takes unless told otherwise; a function of sizes and settings only.

    Args:
        arch: Of the networks.
        cell: Any cell of the pack.
        image_shape: ``(channels, height, width)``.
        n_networks: That train together.
        batch_size: Samples per step.
        n_steps: That are left.
    """
    if is_sparse(arch, cell):
        own = {"n_networks": n_networks, "batch_size": batch_size, "n_steps": n_steps}
        return step_cost.pays_sparse(arch, image_shape, **own, left=cell.after.left)
    sizes = _sizes(arch, cell, image_shape, n_networks, batch_size)
    return step_cost.pays(arch, image_shape, n_steps=n_steps, joined=can_join(cell), **sizes)


def step_seconds(
    arch: Architecture,
    cell: Cell,
    image_shape: tuple[int, int, int],
    *,
    n_networks: int,
    batch_size: int,
    compiled: bool,
) -> float:
    """Seconds of that step on the processor that it was fitted on; of use as a ratio of two packs."""
    if is_sparse(arch, cell):
        own = {"n_networks": n_networks, "batch_size": batch_size}
        return step_cost.sparse_step_seconds(arch, image_shape, **own, left=cell.after.left, compiled=compiled)
    sizes = _sizes(arch, cell, image_shape, n_networks, batch_size)
    return step_cost.step_seconds(arch, image_shape, **sizes, joined=can_join(cell), compiled=compiled)


def _sizes(
    arch: Architecture, cell: Cell, image_shape: tuple[int, int, int], n_networks: int, batch_size: int
) -> dict[str, int]:
    fused = fuses(arch, cell, image_shape, batch_size)
    n_groups = groups(arch, cell, image_shape, n_networks, batch_size) if fused else 0
    batch_size = computed_samples(arch, cell, image_shape, batch_size) if fused else batch_size
    return {"n_networks": n_networks, "batch_size": batch_size, "n_groups": n_groups}
