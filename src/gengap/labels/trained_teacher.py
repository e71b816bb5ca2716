"""A teacher that was trained on the dataset's own labels, which stay the labels (Luck Matters, CIFAR-10).

Its outputs are what the loss `distillation` asks for; the probe `label_accuracy` compares student and teacher on the
labels that the dataset came with.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gengap import inits, models
from gengap.errors import UserError
from gengap.labels import statistics
from gengap.labels.pool import Pool, Selection, Teacher, dataset_split, own_labels
from gengap.logs import log
from gengap.progress import Progress
from gengap.seeding import INIT, ORDER, torch_seed
from gengap.studies.settings import Init, Labels, Model

PART = {
    "summary": "The dataset's own labels, and a teacher that was trained on them (Luck Matters 2019, CIFAR-10).",
    "reads": ("teacher_width", "teacher_depth", "teacher_seed"),
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
            "meaning": "As `batchnorm` of the model, for the teacher.",
        },
        "teacher_epochs": {
            "type": "int",
            "default": 200,
            "ge": 1,
            "meaning": "Epochs for which the teacher is trained; its learning rate falls to 0 as a cosine.",
        },
        "teacher_lr": {
            "type": "float",
            "default": 0.1,
            "gt": 0,
            "meaning": "The teacher's learning rate at the start.",
        },
        "teacher_weight_decay": {
            "type": "float",
            "default": 5e-4,
            "ge": 0,
            "meaning": "The teacher's weight decay.",
        },
    },
    "teacher": True,
}

BATCH_SIZE, MOMENTUM = 128, 0.9


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep the dataset's split and labels, and train a teacher on the train images that are kept.

    Raises:
        UserError: If the dataset has no labels or fewer images than asked for, or if the teacher diverges.
    """
    labels = own_labels(settings, pool)
    train, test = dataset_split(settings, pool)
    on_train, on_test = (pool.images[torch.from_numpy(indices)] for indices in (train, test))
    channels, height, width = pool.images.shape[1:]
    network = teacher_network(settings, (channels, height, width), len(pool.classes))
    inits.initialise(
        network, Init(name="default"), torch.Generator().manual_seed(torch_seed(settings.teacher_seed, INIT))
    )
    fit(network, on_train, torch.from_numpy(labels[train]), settings)
    network.double().eval()
    outputs = [statistics.all_outputs(network, images) for images in (on_train, on_test)]
    if not all(found.isfinite().all() for found in outputs):
        raise UserError(f"labels.teacher_lr: {settings.teacher_lr:g} makes the teacher diverge. Choose a smaller one.")
    accuracies = [
        float((found.argmax(dim=1) == torch.from_numpy(labels[indices])).double().mean())
        for found, indices in zip(outputs, (train, test), strict=True)
    ]
    log.info("teacher: train accuracy %.1f %%, test accuracy %.1f %%", *(100 * accuracy for accuracy in accuracies))
    # The count of batches, an integer that BatchNorm keeps, plays no part in the arithmetic.
    state = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
    teacher = Teacher(teacher_model(settings), state, outputs[0].float(), outputs[1].float())
    facts: dict[str, float] = {"seed": settings.teacher_seed, "width": settings.teacher_width}
    facts |= {"train_accuracy": accuracies[0], "test_accuracy": accuracies[1]}
    return Selection(train, test, labels[train], labels[test], len(pool.classes), teacher, facts)


def teacher_model(settings: Labels) -> Model:
    """Settings of the teacher's network."""
    shared = {"width": settings.teacher_width, "depth": settings.teacher_depth, "batchnorm": settings.teacher_norm}
    return Model.model_validate({"name": settings.teacher_model, **shared, "proportions": settings.teacher_proportions})


def teacher_network(settings: Labels, image_shape: tuple[int, int, int], n_outputs: int = 10) -> nn.Module:
    """The teacher's network, not trained yet."""
    return models.build(teacher_model(settings), image_shape, n_outputs)


def fit(network: nn.Module, images: Tensor, labels: Tensor, settings: Labels) -> None:
    """Train a network in place: SGD with momentum, cross-entropy, no augmentation, on the CPU in float32.

    The recipe is a usual one, since the paper prints none.

    Args:
        network: Any classifier.
        images: ``[N, C, H, W]``.
        labels: int64 ``[N]``.
        settings: `teacher_epochs`, `teacher_lr`, `teacher_weight_decay` and `teacher_seed`.
    """
    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=settings.teacher_lr, momentum=MOMENTUM, weight_decay=settings.teacher_weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.teacher_epochs)
    progress = Progress("epoch", settings.teacher_epochs, "samples")
    order = torch.Generator().manual_seed(torch_seed(settings.teacher_seed, ORDER))
    for epoch in range(1, settings.teacher_epochs + 1):
        for batch in torch.randperm(len(images), generator=order).split(BATCH_SIZE):
            if len(batch) == 1:  # of which BatchNorm could take no statistics
                continue
            optimizer.zero_grad()
            cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
        schedule.step()
        progress.advance(epoch, len(images), last=epoch == settings.teacher_epochs)
