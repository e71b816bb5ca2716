"""BatchNorm's statistics where the training steps hold them constant: those of the whole training set."""

from torch import Tensor

from gengap.engine import evaluation
from gengap.engine.stack import Architecture
from gengap.studies.settings import Cell
from gengap.training.pack_state import PackState


def refresh(pack: PackState, arch: Architecture, images: Tensor, cell: Cell) -> None:
    """Measure the statistics again when they are due: at the start of an epoch, and every `statistics_steps` within it.

    A function of the weights only: measured twice between two steps, they are the same bits.

    Args:
        pack: The stack; its buffers become the exact statistics of every network.
        arch: Its architecture.
        images: The training images ``[N, C, H, W]``; all of them are one batch.
        cell: Any cell of the pack: `step_batchnorm` and `statistics_steps` are shared.
    """
    every = cell.training.statistics_steps
    if pack.step == 0 or (every is not None and pack.step % every == 0):
        pack.networks = measured(pack, arch, images, cell).networks


def measured(pack: PackState, arch: Architecture, images: Tensor, cell: Cell) -> PackState:
    """The same stack with the exact statistics of its present weights; itself where steps use the batch's."""
    if cell.training.step_batchnorm == "batch" or not arch.buffers:
        return pack
    networks = pack.networks._replace(buffers=evaluation.exact_statistics(arch, pack.state(), images))
    return pack.with_networks(networks)
