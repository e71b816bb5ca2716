"""Training images drawn afresh for every step on the device, with what their teacher says of them; none is stored.

The networks of a stack still index one resident set of images, as in `training.step`: the *pool* of the step at hand,
which the next step overwrites. It stays the same tensor, so that a recorded CUDA graph can be replayed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gengap import losses, models, seeding
from gengap.engine import stack
from gengap.engine.stack import Architecture, State
from gengap.errors import UserError
from gengap.labels.pool import Teacher
from gengap.studies.settings import Cell, Dataset, Loss


@dataclass(frozen=True)
class DataStream:
    """Batches of independent normal pixels without end.

    Batch i of epoch e depends on the dataset's `data_seed`, the cell's seed, e and i alone, so a run that stopped goes
    on at any batch, and cells of one seed see the same images whatever else they differ in. They share the pool's rows,
    and one pass of the teacher labels the whole pool.

    Attributes:
        n_samples: Images of an epoch.
        std: Standard deviation of a pixel.
        data_seed: Of the dataset.
        teacher: Architecture of the network that labels.
        state: Its weights as a stack of one, ``[1, ...]``.
        by_outputs: Whether targets are its outputs; else the classes that they stand for.
        images: The pool ``[U B, C, H, W]``, for the batches of as many images of U seeds.
        targets: What the teacher says of it, ``[U B, n_outputs]`` or ``[U B]``.
    """

    n_samples: int
    std: float
    data_seed: int
    teacher: Architecture
    state: State
    by_outputs: bool
    images: Tensor
    targets: Tensor

    @torch.no_grad()
    def epoch(self, seeds: Sequence[int], epoch: int, batch_sizes: Sequence[int], start: int = 0) -> Iterator[Tensor]:
        """Fill the pool for every step of an epoch.

        Args:
            seeds: One per network of the stack.
            epoch: 0 for the first.
            batch_sizes: Samples of every step.
            start: Number of the first step wanted; those before are not drawn.

        Yields:
            Which of the pool's images are each network's batch, int64 ``[K, B]``.
        """
        different = list(dict.fromkeys(seeds))
        place = torch.tensor([different.index(seed) for seed in seeds], device=self.images.device)
        generator = torch.Generator(self.images.device)
        for number, size in enumerate(batch_sizes[start:], start):
            filled = self.images[: len(different) * size]
            for seed, rows in zip(different, filled.split(size), strict=True):
                generator.manual_seed(seeding.torch_seed(seed, seeding.STREAM, self.data_seed, epoch, number))
                rows.normal_(0.0, self.std, generator=generator)
            self.targets[: len(filled)].copy_(self._targets(filled))
            yield place[:, None] * size + torch.arange(size, device=self.images.device)

    def _targets(self, images: Tensor) -> Tensor:
        outputs = stack.outputs(self.teacher.evaluation, self.state, images)[0]
        return outputs if self.by_outputs else losses.targets(losses.classes(outputs), outputs.shape[1])


def data_stream(
    cells: Sequence[Cell], teacher: Teacher, image_shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device
) -> DataStream:
    """The stream of a pack.

    Args:
        cells: Settings of its networks; they share all but what `gengap.studies.packing.PER_CELL_KEYS` names.
        teacher: The network that labels.
        image_shape: ``(channels, height, width)``.
        dtype: Of the images, and of the teacher's arithmetic.
        device: Where they are drawn.
    """
    dataset: Dataset = cells[0].dataset
    loss: Loss = cells[0].loss
    rows = largest_batch(cells[0]) * len({cell.seed for cell in cells})
    arch = stack.architecture(models.build(teacher.model, image_shape, teacher.n_outputs))
    by_outputs = losses.needs_teacher(loss)
    shape, kind = ((rows, teacher.n_outputs), dtype) if by_outputs else ((rows,), torch.int64)
    return DataStream(
        n_samples=dataset.n_train,
        std=dataset.std,
        data_seed=dataset.data_seed,
        teacher=arch,
        state={name: value.unsqueeze(0).to(device, dtype) for name, value in teacher.state.items()},
        by_outputs=by_outputs,
        images=torch.zeros(rows, *image_shape, dtype=dtype, device=device),
        targets=torch.zeros(shape, dtype=kind, device=device),
    )


def largest_batch(cell: Cell) -> int:
    """The most samples that a step of a cell with streamed data has.

    Raises:
        UserError: If the cell asks for full batches, which an endless stream does not have.
    """
    training = cell.training
    if training.batch_size == "full":
        raise UserError(
            "training.batch_size: full is not possible with dataset.stream: true. Give a number of samples."
        )
    sizes = [training.batch_size, *([training.switch_batch_size] if training.switch_epoch is not None else [])]
    return min(max(sizes), cell.dataset.n_train)
