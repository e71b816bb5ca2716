"""Forests of regression trees: the risk against the leaves of a tree, then the number of trees (Belkin 2019)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from sklearn.ensemble import RandomForestRegressor
from torch import Tensor

from gengap import seeding
from gengap.simulations.sampled_images import check as check
from gengap.simulations.sampled_images import measured, sample
from gengap.studies.simulation import Point

PART = {
    "summary": "Forests of regression trees on one-hot labels: leaves per tree, then trees (Belkin 2019, Fig. 4).",
    "options": {
        "dataset": {
            "type": "str",
            "default": "normal",
            "meaning": "Registered dataset whose images are drawn; normal: ten classes of normal pixels.",
        },
        "samples": {"type": "int", "default": 200, "ge": 2, "meaning": "Training images, n."},
        "test_samples": {"type": "int", "default": 1000, "ge": 1, "meaning": "Test images."},
        "label_noise": {
            "type": "float",
            "default": 0.0,
            "ge": 0,
            "le": 1,
            "meaning": "Share of training labels that are replaced by a uniform class.",
        },
        "leaves": {"type": "int", "default": 10, "ge": 2, "meaning": "Most leaves of a tree."},
        "trees": {"type": "int", "default": 1, "ge": 1, "meaning": "Trees whose outputs are averaged."},
    },
    "uses": ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "train_error", "test_error"),
}
ONE_BY_ONE = True

_TREES = 2  # in the path of the streams


def simulate(point: Point, seeds: Sequence[int], device: torch.device, prepared: Path | None) -> dict[str, Tensor]:
    """Fit one-hot labels by the mean of regression trees, grown best first, each on all images (no bootstrap).

    A split is the best one of sqrt(p) randomly chosen pixels; a class is the largest output.

    Args:
        point: Sizes of sample, trees and forest.
        seeds: Numbers of the draws.
        device: Unused: trees grow on the CPU.
        prepared: The dataset's prepared file; None for normal pixels.

    Returns:
        Float64 ``[len(seeds)]``.

    Source: Belkin, Hsu, Ma and Mandal (2019), Reconciling modern machine-learning practice, Fig. 4.
    """
    rows = []
    for seed in seeds:
        images = sample(point, seed, prepared)
        forest = RandomForestRegressor(
            n_estimators=point.trees,
            max_leaf_nodes=point.leaves,
            max_features="sqrt",
            bootstrap=False,
            random_state=seeding.torch_seed(seed, seeding.SIMULATION, _TREES) % 2**32,
        ).fit(images.train.numpy(), images.targets.numpy())
        outputs = (torch.from_numpy(forest.predict(part.numpy())) for part in (images.train, images.test))
        rows.append(measured(images, *outputs))
    return {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in rows[0]}


def numbers_per_draw(point: Point) -> int:
    """Leaves of all trees, with an output per class each."""
    count: int = 100 * point.leaves * point.trees
    return count
