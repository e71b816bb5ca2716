"""A fully connected teacher whose nodes differ from one another by design (Luck Matters).

Its outputs are what the loss `distillation` asks for. As labels, several outputs say the largest one, a single output
its sign; neither a margin nor the balance of the classes chooses the images.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gengap import inits, models
from gengap.errors import UserError
from gengap.labels import statistics
from gengap.labels.pool import Pool, Selection, Teacher, dataset_split
from gengap.seeding import INIT, torch_seed
from gengap.studies.settings import Labels, Model

PART = {
    "summary": (
        "A fully connected teacher whose weights make its nodes differ (Luck Matters 2019); no image is dropped."
    ),
    "reads": ("teacher_width", "teacher_depth", "teacher_outputs", "teacher_seed"),
    "teacher": True,
}

VALUES = (-0.5, -0.25, 0.0, 0.25, 0.5)


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep the dataset's split, or the first images of a fixed shuffle, and ask the teacher of the seed.

    Raises:
        UserError: If there are too few images, or if no such teacher exists.
    """
    if pool.stream:
        raise UserError(
            f"labels.name: 'distinct_teacher' labels stored images, and {pool.path} holds no training images because "
            "of dataset.stream: true. Set dataset.stream to false, and dataset.n_train to the images needed."
        )
    if settings.teacher_outputs == 2:
        raise UserError("labels.teacher_outputs: 2 is not allowed: one output tells two classes apart. Use 1, or 3.")
    train, test = dataset_split(settings, pool)
    model = Model(name="mlp", width=settings.teacher_width, depth=settings.teacher_depth)
    channels, height, width = pool.images.shape[1:]
    network = models.build(model, (channels, height, width), settings.teacher_outputs).double().eval()
    draw(network, torch.Generator().manual_seed(torch_seed(settings.teacher_seed, INIT)))
    on_train, on_test = (statistics.all_outputs(network, pool.images[torch.from_numpy(s)]) for s in (train, test))
    teacher = Teacher(model, network.state_dict(), on_train.float(), on_test.float())
    facts = {"seed": settings.teacher_seed, "width": settings.teacher_width, "output_std": float(on_train.std())}
    n_classes = max(settings.teacher_outputs, 2)
    return Selection(train, test, _labels(on_train), _labels(on_test), n_classes, teacher, facts)


@torch.no_grad()
def draw(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the teacher's weights in place.

    Every weight is one of -0.5, -0.25, 0, 0.25, 0.5 with equal chance, no row of a layer is zero or equal to another,
    biases are uniform in (-0.5, 0.5); then each row and its bias are divided by the row's Euclidean norm. A row is what
    enters one node: a unit of a linear layer, a filter of a convolution.

    Args:
        network: Any module of linear layers and convolutions with biases.
        generator: The source of randomness, on the CPU.

    Raises:
        UserError: If a layer has more nodes than there are different rows.

    Source: the code of Tian et al. (2019), arXiv:1905.13405.
    """
    for name, layer in inits.weight_layers(network):
        rows = _rows(name, len(layer.weight), layer.weight[0].numel(), generator)
        norms = rows.norm(dim=1)
        layer.weight.copy_((rows / norms[:, None]).view_as(layer.weight))
        if layer.bias is not None:
            layer.bias.copy_((torch.rand(len(rows), generator=generator, dtype=torch.float64) - 0.5) / norms)


def _rows(name: str, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Different rows that are not zero, ``[count, size]``."""
    if count >= len(VALUES) ** size:
        raise UserError(
            f"labels.teacher_width: layer '{name}' of the teacher has {count} nodes, and with {size} inputs there are "
            f"only {len(VALUES) ** size - 1} different ones. Choose larger images or a smaller teacher."
        )
    found: dict[tuple[int, ...], None] = {}  # in the order in which they were drawn
    while len(found) < count:
        drawn = torch.randint(len(VALUES), (count, size), generator=generator)
        found |= dict.fromkeys(tuple(row) for row in drawn.tolist() if any(VALUES[place] for place in row))
    return torch.tensor(VALUES, dtype=torch.float64)[torch.tensor(list(found)[:count])]


def _labels(outputs: Tensor) -> NDArray[np.int64]:
    """-1 and +1 for a single output, else class indices."""
    labels = (outputs[:, 0] > 0).long() * 2 - 1 if outputs.shape[1] == 1 else outputs.argmax(dim=1)
    return labels.numpy()
