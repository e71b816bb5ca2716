"""Layer gradients of ResNet-34 before training, with and without BatchNorm and skips (Song 2019, Fig. 4.4)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, ResNet

from gengap import inits, seeding
from gengap.errors import UserError
from gengap.files import storage
from gengap.studies.settings import Init
from gengap.studies.simulation import NORMAL, Point
from gengap.studies.sizes import Sizes

PART = {
    "summary": (
        "Layer gradients of ResNet-34 at its start, with and without BatchNorm and skips (Song 2019, Fig. 4.4)."
    ),
    "options": {
        "dataset": {
            "type": "str",
            "default": "normal",
            "meaning": (
                "Registered dataset from whose training images, standardised, a network's inputs are "
                "drawn; normal: independent standard normal pixels."
            ),
        },
        "norm": {
            "choices": ("batchnorm", "none"),
            "default": "batchnorm",
            "meaning": "Whether a layer's outputs are normalised by the statistics of the batch.",
        },
        "block": {
            "choices": ("residual", "plain"),
            "default": "residual",
            "meaning": "residual: a block's input is added to its output; plain: it is not.",
        },
        "batch_size": {
            "type": "int",
            "default": 256,
            "ge": 1,
            "meaning": "Samples in the batch whose gradient is taken.",
        },
    },
    "mem_mb": 6000,
    "uses": ("layer_gradient_norm", "gradient_ratio"),
}
ONE_BY_ONE = True

BATCHNORM = "batch"
CLASSES, IMAGE = 10, (3, 32, 32)
_BLOCKS = [3, 4, 6, 3]  # of ResNet-34, in each of its four stages
_SHORTCUT = ".downsample."  # in the names of the 1 x 1 convolutions, which lie beside the depth and not along it
_WEIGHTS, _BATCH = range(2)


def simulate(
    point: Point, seeds: Sequence[int], device: torch.device, prepared: Path | None
) -> dict[str, Tensor | dict[str, Tensor]]:
    """The gradient norm of every weight layer, and the ratio ``R = max_l g_l / min_l g_l``, for every seed.

    The network is torchvision's ResNet-34 with the stem for CIFAR (3 x 3, stride 1, no max-pool) and ten outputs; the
    loss is the mean cross-entropy of one batch, and BatchNorm uses that batch's statistics, as in training. Weights
    are He normal, biases 0, BatchNorm's scale 1 and shift 0. A seed has the same weights in all variants, apart from
    what a variant lacks: `norm: none` leaves out every BatchNorm, `block: plain` every skip, with it the three 1 x 1
    convolutions. ``g_l`` is the Frobenius norm of the gradient with respect to layer l's weights. R is over the 33
    convolutions along the depth and the linear layer; the 1 x 1 convolutions have a norm, but no part in R.

    Images are drawn without repetition from the dataset's training images, with their own labels; or they are
    independent normal pixels, with uniform labels. All arithmetic is in float64: without BatchNorm, gradients grow or
    vanish over many decades.

    Args:
        point: Dataset, norm, block, batch size.
        seeds: Numbers of the draws: each has its own weights and its own batch, which are the same in every variant.
        device: Where the gradients are computed; the numbers are drawn on the CPU.
        prepared: The dataset's prepared file; None for normal pixels.

    Returns:
        ``gradient_ratio``, float64 ``[len(seeds)]``, and ``layer_gradient_norm``, the same by layer, in the order of
        the network.

    Raises:
        UserError: If the dataset's images do not fit, or are too few.
    """
    drawn = []
    for seed in seeds:
        images, labels = batch(point, seed, prepared)
        drawn.append(gradient_norms(network(point, seed).to(device), images.to(device), labels.to(device)))
    norms = {name: torch.stack([draw[name] for draw in drawn]) for name in drawn[0]}
    along = torch.stack([values for name, values in norms.items() if _SHORTCUT not in name])
    return {"gradient_ratio": along.amax(dim=0) / along.amin(dim=0), "layer_gradient_norm": norms}


def numbers_per_draw(point: Point) -> int:
    """Weights and gradients, and what autograd keeps of every image: inputs of convolutions and of BatchNorms."""
    count: int = 2 * 21_000_000 + 2 * 1_000_000 * point.batch_size
    return count


def network(point: Point, seed: int) -> ResNet:
    """One draw's network, float64, in training mode."""
    norm = nn.BatchNorm2d if point.norm == "batchnorm" else _no_norm
    block = BasicBlock if point.block == "residual" else _Plain
    with torch.random.fork_rng(devices=[]):  # torchvision draws weights of its own
        made = ResNet(block, _BLOCKS, num_classes=CLASSES, norm_layer=norm)
    made.conv1 = nn.Conv2d(IMAGE[0], 64, kernel_size=3, padding=1, bias=False)
    made.maxpool = nn.Identity()
    generator = torch.Generator().manual_seed(seeding.torch_seed(seed, seeding.SIMULATION, _WEIGHTS))
    inits.initialise(made, Init(name="he"), generator)
    for layer in made.modules():
        if isinstance(layer, _Plain):  # only now, so that all variants draw the same numbers
            layer.downsample = None
    return made.double().to(memory_format=torch.channels_last)  # which is faster on a CPU


def batch(point: Point, seed: int, prepared: Path | None) -> tuple[Tensor, Tensor]:
    """One draw's images, float64 ``[batch, 3, 32, 32]``, and labels, int64 ``[batch]``."""
    stream = seeding.stream(seed, seeding.SIMULATION, _BATCH, point.batch_size)
    if point.dataset == NORMAL:
        images = torch.from_numpy(stream.standard_normal((point.batch_size, *IMAGE)))
        return images, torch.from_numpy(stream.integers(CLASSES, size=point.batch_size))
    assert prepared is not None
    with storage.reading(prepared, "prepared") as file:
        stored = file["train_images"]
        if stored.shape[1:] != IMAGE or point.batch_size > len(stored):
            raise UserError(
                f"dataset: '{point.dataset}' has {len(stored):,} training images of {stored.shape[1:]}, and "
                f"{point.batch_size:,} of {IMAGE} are asked for. Choose cifar10, or {NORMAL}."
            )
        chosen = np.sort(stream.choice(len(stored), size=point.batch_size, replace=False))  # h5py reads in order
        images, labels = torch.from_numpy(stored[chosen]).double(), torch.from_numpy(file["train_labels"][chosen])
    if int(labels.max()) >= CLASSES:
        raise UserError(f"dataset: '{point.dataset}' has more than {CLASSES} classes. Choose cifar10, or {NORMAL}.")
    return images, labels


def check(point: Point, data: Sizes | None) -> None:
    """Refuse a dataset of other images or more classes, as far as its header says so.

    Raises:
        UserError: With what the dataset has.
    """
    if data is None or data.pool is None:
        return
    if data.image_shape != IMAGE or data.pool[0] < point.batch_size or (data.n_classes or 0) > CLASSES:
        raise UserError(
            f"dataset: '{point.dataset}' has {data.pool[0]:,} training images of {data.image_shape} and "
            f"{data.n_classes} classes, and {point.batch_size:,} of {IMAGE} and at most {CLASSES} classes are asked "
            f"for. Choose cifar10, or {NORMAL}."
        )


def gradient_norms(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Frobenius norm of the mean cross-entropy's gradient by weight layer, as the network is."""
    layers = inits.weight_layers(network)
    loss = functional.cross_entropy(network(images), labels)
    gradients = torch.autograd.grad(loss, [layer.weight for _, layer in layers])
    norms = zip(layers, gradients, strict=True)
    # The stem is declared first and the linear layer last; within a block too, the order is that of the depth.
    return {name: gradient.norm().cpu() for (name, _), gradient in norms}


class _Plain(BasicBlock):  # type: ignore[misc]  # torchvision has no types
    """torchvision's basic block without its skip."""

    def forward(self, x: Tensor) -> Tensor:
        inner = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(inner)))
        return out


def _no_norm(_: int) -> nn.Module:
    return nn.Identity()
