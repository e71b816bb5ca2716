"""A raw dataset, before it is rescaled and standardised."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Raw:
    """Images and labels of one dataset.

    Attributes:
        train_images: uint8 ``[N, C, H, W]``, or float32 where `full_scale` is None.
        train_labels: int64 ``[N]``, indices into `classes`.
        test_images: As `train_images`.
        test_labels: As `train_labels`.
        classes: Names of the classes.
        variant: Which of several versions of the dataset this is, e.g. ``"original"`` or ``"jpeg"``.
        full_scale: The value of a white pixel, which becomes 1; None for images that have no range and stay as drawn.
    """

    train_images: NDArray[np.uint8] | NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8] | NDArray[np.float32]
    test_labels: NDArray[np.int64]
    classes: tuple[str, ...]
    variant: str = "original"
    full_scale: float | None = 255.0

    def __post_init__(self) -> None:
        """Check shapes and labels, so that a faulty reader fails here and not in a figure."""
        for split, images, labels in (
            ("train", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            if images.ndim != 4:
                raise ValueError(f"{split} images must have shape [N, C, H, W], got {images.shape}.")
            if labels.shape != images.shape[:1]:
                raise ValueError(f"{len(images)} {split} images have labels of shape {labels.shape}.")
            if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
                raise ValueError(f"{split} labels must lie in 0..{len(self.classes) - 1}, got up to {labels.max()}.")
