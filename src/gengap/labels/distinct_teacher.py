"""A teacher whose nodes differ from one another by design (Luck Matters).

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
    "summary": "A teacher whose weights make its nodes differ (Luck Matters 2019); no image is dropped.",
    "reads": ("teacher_width", "teacher_depth", "teacher_outputs", "teacher_seed"),
    "options": {
        "teacher_model": {
            "choices": ["mlp", "plain_conv"],
            "default": "mlp",
            "meaning": "The teacher's model.",
        },
        "teacher_proportions": {
            "type": "floats",
            "default": (),
            "meaning": "As `proportions` of the model, for the teacher.",
        },
        "teacher_norm": {
            "choices": ["none", "before", "after"],
            "default": "none",
            "meaning": "As `batchnorm` of the model, for the teacher; it has the images' statistics and no scales.",
        },
    },
    "teacher": True,
    "streams": True,
}

VALUES = (-0.5, -0.25, 0.0, 0.25, 0.5)
_MANY = 30  # inputs that have more different rows than any memory has nodes


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep the dataset's split, or the first images of a fixed shuffle, and ask the teacher of the seed.

    Raises:
        UserError: If there are too few images, or if no such teacher exists.
    """
    if settings.teacher_outputs == 2:
        raise UserError("labels.teacher_outputs: 2 is not allowed: one output tells two classes apart. Use 1, or 3.")
    train, test = dataset_split(settings, pool)
    channels, height, width = pool.images.shape[1:]
    network = teacher_network(settings, (channels, height, width)).double().eval()
    draw(network, torch.Generator().manual_seed(torch_seed(settings.teacher_seed, INIT)))
    if settings.teacher_norm != "none":
        statistics.calibrate(network, pool.images[: pool.n_train])
    on_train, on_test = (statistics.all_outputs(network, pool.images[torch.from_numpy(s)]) for s in (train, test))
    # The count of batches, an integer that BatchNorm keeps, plays no part in the arithmetic.
    state = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
    teacher = Teacher(teacher_model(settings), state, on_train.float(), on_test.float())
    facts = {"seed": settings.teacher_seed, "width": settings.teacher_width, "output_std": float(on_train.std())}
    n_classes = max(settings.teacher_outputs, 2)
    return Selection(train, test, _labels(on_train), _labels(on_test), n_classes, teacher, facts)


def teacher_model(settings: Labels) -> Model:
    """Settings of the teacher's network."""
    own = {"proportions": settings.teacher_proportions, "affine": settings.teacher_norm == "none"}
    shared = {"width": settings.teacher_width, "depth": settings.teacher_depth, "batchnorm": settings.teacher_norm}
    return Model.model_validate({"name": settings.teacher_model, **shared, **own})


def teacher_network(settings: Labels, image_shape: tuple[int, int, int]) -> nn.Module:
    """The teacher's network, not drawn yet.

    Raises:
        UserError: If a layer has more nodes than there are different rows.
    """
    network = models.build(teacher_model(settings), image_shape, settings.teacher_outputs)
    for name, layer in inits.weight_layers(network):
        _check_rows(name, len(layer.weight), layer.weight[0].numel())
    return network


@torch.no_grad()
def draw(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the teacher's weights in place.

    Every weight is one of -0.5, -0.25, 0, 0.25, 0.5 with equal chance, no row of a layer is zero or equal to another,
    biases are uniform in (-0.5, 0.5); then each row and its bias are divided by the row's Euclidean norm. A row is what
    enters one node: a unit of a linear layer, a filter of a convolution.

    Args:
        network: Any module of linear layers and convolutions with biases.
        generator: The source of randomness, on the CPU.

    Source: the code of Tian et al. (2019), arXiv:1905.13405.
    """
    for _, layer in inits.weight_layers(network):
        rows = _rows(len(layer.weight), layer.weight[0].numel(), generator)
        norms = rows.norm(dim=1)
        layer.weight.copy_((rows / norms[:, None]).view_as(layer.weight))
        if layer.bias is not None:
            layer.bias.copy_((torch.rand(len(rows), generator=generator, dtype=torch.float64) - 0.5) / norms)


def _check_rows(name: str, count: int, size: int) -> None:
    """Refuse more nodes than there are different rows that are not zero."""
    if size < _MANY and count >= len(VALUES) ** size:
        raise UserError(
            f"labels.teacher_width: layer '{name}' of the teacher has {count} nodes, and with {size} inputs there are "
            f"only {len(VALUES) ** size - 1} different ones. Choose larger images or a smaller teacher."
        )


def _rows(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Different rows that are not zero, ``[count, size]``."""
    found: dict[tuple[int, ...], None] = {}  # in the order in which they were drawn
    while len(found) < count:
        drawn = torch.randint(len(VALUES), (count, size), generator=generator)
        found |= dict.fromkeys(tuple(row) for row in drawn.tolist() if any(VALUES[place] for place in row))
    return torch.tensor(VALUES, dtype=torch.float64)[torch.tensor(list(found)[:count])]


def _labels(outputs: Tensor) -> NDArray[np.int64]:
    """-1 and +1 for a single output, else class indices."""
    labels = (outputs[:, 0] > 0).long() * 2 - 1 if outputs.shape[1] == 1 else outputs.argmax(dim=1)
    return labels.numpy()
