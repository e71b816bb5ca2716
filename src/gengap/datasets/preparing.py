"""From raw images to the prepared file: rescaled by area average and standardised by channel."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gengap import provenance, registry
from gengap.datasets.raw import Raw
from gengap.errors import UserError
from gengap.files import storage
from gengap.logs import log
from gengap.registry import code_dependencies
from gengap.studies.settings import Dataset

CHUNK_BYTES = 64 * 2**20  # of float64 pixels held at a time

Pixels = NDArray[np.float64]
Images = NDArray[np.uint8] | NDArray[np.float32]


def prepare(settings: Dataset, root: Path, output: Path) -> None:
    """Write a dataset's prepared images and labels.

    Pixels are scaled to [0, 1], averaged over areas down to `image_size`, and then have the mean of their channel
    subtracted and are divided by its standard deviation, over the images that `standardize` names. Gaussian images
    are kept as they were drawn. Memory beyond that of the raw images is bounded.

    Args:
        settings: Which dataset, and how.
        root: The data root, where raw files are looked for and downloaded to.
        output: The file, of kind ``prepared``.

    Raises:
        UserError: If the images cannot be had, would have to be enlarged, or cannot be standardised.
    """
    raw: Raw = registry.load("dataset", settings.name).read(settings, root)
    shape = raw.test_images.shape[1:]
    size = settings.image_size if settings.image_size and raw.full_scale else None
    _check_size(settings, shape)
    shape = (shape[0], size or shape[1], size or shape[2])
    standardize = settings.standardize if raw.full_scale else "none"
    mean, std = _statistics(settings, raw, size, standardize)
    code = code_dependencies.digest(code_dependencies.code_of_part("dataset", settings.name))
    record = provenance.record({"dataset": settings.model_dump(mode="json")}, code=code)
    with storage.writing(output, "prepared", record) as file:
        for split, images, labels in (
            ("train", raw.train_images, raw.train_labels),
            ("test", raw.test_images, raw.test_labels),
        ):
            stored = file.create_dataset(f"{split}_images", shape=(len(images), *shape), dtype=np.float32)
            start = 0
            for chunk in _rescaled(images, raw.full_scale, size):
                if standardize != "none":
                    chunk = (chunk - mean[:, None, None]) / std[:, None, None]
                stored[start : start + len(chunk)] = chunk
                start += len(chunk)
            storage.write_array(file, f"{split}_labels", labels)
        facts: dict[str, Any] = {"classes": json.dumps(raw.classes), "mean": mean, "std": std}
        facts |= {"standardize": standardize, "variant": raw.variant, "stream": settings.stream}
        file.attrs.update(facts)
    log.info(
        "%s (%s): %d train and %d test images, %d x %d x %d, standardised over: %s",
        *(settings.name, raw.variant, len(raw.train_images), len(raw.test_images), *shape, standardize),
    )


def area_average(images: NDArray[Any], size: int) -> Pixels:
    """Shrink images ``[N, C, H, W]`` to ``[N, C, size, size]``: each pixel is the mean over the area that it covers.

    Source pixels are squares of constant value, and one that lies in several target pixels counts in each by its
    share. So the mean of an image never changes; where `size` divides H, this is the plain mean over blocks.
    """
    rows, columns = (_coverage(old, size) for old in images.shape[2:])
    average: Pixels = rows @ images.astype(np.float64) @ columns.T
    return average


def _coverage(old: int, new: int) -> Pixels:
    """Share of each of `old` source pixels in each of `new` target pixels, ``[new, old]``; rows sum to 1."""
    edges = np.arange(new + 1) * old / new
    low, high = np.arange(old), np.arange(1, old + 1)
    overlap = np.minimum(edges[1:, None], high) - np.maximum(edges[:-1, None], low)
    shares: Pixels = overlap.clip(min=0) * new / old
    return shares


def _check_size(settings: Dataset, shape: tuple[int, ...]) -> None:
    smallest = min(shape[1:])
    if settings.image_size is not None and settings.image_size > smallest:
        raise UserError(
            f"dataset.image_size: {settings.image_size} is larger than the images of '{settings.name}', and an area "
            f"average only shrinks. Choose from 1 to {smallest}, or null for the original size."
        )


def _statistics(settings: Dataset, raw: Raw, size: int | None, standardize: str) -> tuple[Pixels, Pixels]:
    """Mean and standard deviation of each channel, over the images that `standardize` names."""
    channels = raw.test_images.shape[1]
    if standardize == "none":
        return np.zeros(channels), np.ones(channels)
    splits = [raw.train_images] + ([raw.test_images] if standardize == "pool" else [])
    count, total, squares = 0, np.zeros(channels), np.zeros(channels)
    for images in splits:
        for chunk in _rescaled(images, raw.full_scale, size):
            count += chunk[:, 0].size
            total += chunk.sum((0, 2, 3))
            squares += np.square(chunk).sum((0, 2, 3))
    mean = total / count
    # In float64, for values in [0, 1], the difference of the two moments is good to about 1e-15.
    std = np.sqrt((squares / count - mean**2).clip(min=0))
    if (std < 1e-6).any():
        raise UserError(
            f"dataset.standardize: '{standardize}' would divide by zero: channel {int(std.argmin())} of "
            f"'{settings.name}' has the same value everywhere. Set dataset.standardize to none."
        )
    return mean, std


def _rescaled(images: Images, full_scale: float | None, size: int | None) -> Iterator[NDArray[Any]]:
    """The images in chunks, scaled to [0, 1] and shrunk; those without a full scale as they are."""
    step = max(1, CHUNK_BYTES // (8 * int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), step):
        chunk: NDArray[Any] = images[start : start + step]
        if full_scale is not None:
            chunk = (area_average(chunk, size) if size else chunk.astype(np.float64)) / full_scale
        yield chunk
