"""The survey's studies on random data, layers and BatchNorm compare what they say that they compare."""

from pathlib import Path

import pytest
import yaml

from gengap.evidence import sample_errors
from gengap.evidence.batchnorm_claims import BATCHNORM, NOISY, PLAIN
from gengap.evidence.published import parse_selector, read_published
from gengap.studies.study import axis_names, axis_values, load_study

CONFIG = Path(__file__).resolve().parents[1] / "config"
NAMES = ("random_labels", "memorisation", "layer_equality", "batchnorm_landscape")


def study(name, **options):
    return load_study(CONFIG / f"studies/{name}.yaml", **options)


def test_every_printed_number_has_five_cells():
    made = study("random_labels")
    values = [axis_values(made, cell) for cell in made.cells.values()]
    for selector in read_published(CONFIG / "published/zhang_random_labels.csv")["cells"].unique():
        wanted = parse_selector(selector)
        assert set(wanted) <= set(axis_names(made))
        found = [one for one in values if all(str(one[axis]) == value for axis, value in wanted.items())]
        assert {one["seed"] for one in found} == {0, 1, 2, 3, 4}, selector


@pytest.mark.parametrize("reduced", [False, True])
def test_every_network_has_its_true_data_and_all_variants(reduced):
    by_arm = {}
    for cell in study("random_labels", reduced=reduced).cells.values():
        labels = cell.labels
        share = getattr(labels, "random_share", None)
        by_arm.setdefault(cell.arm, set()).add((labels.name, share, getattr(labels, "permutation", None)))
    whole = {("random_labels", 1.0, None), ("noise_images", 1.0, None)}
    whole |= {("permuted_pixels", None, "one"), ("permuted_pixels", None, "each")}
    for arm, data in by_arm.items():
        assert ("random_labels", 0.0, None) in data
        assert whole <= data or arm.rpartition("_")[2] in ("decay", "dropout", "augmented")


@pytest.mark.parametrize("reduced", [False, True])
def test_starts_differ_in_their_seed_alone_and_are_hundred(reduced):
    cells = study("memorisation", reduced=reduced).cells.values()
    one_epoch = [cell for cell in cells if cell.arm == "one_epoch"]
    assert all(cell.training.epochs == sample_errors.FIRST for cell in one_epoch)
    kinds = {(cell.labels.name, cell.labels.random_share) for cell in one_epoch}
    assert kinds == {("random_labels", 0.0), ("random_labels", 1.0), ("noise_images", 1.0)}
    assert len(one_epoch) == 100 * len(kinds)
    for cell in cells:
        assert sample_errors.FIRST in (cell.training.epochs, *cell.training.snapshots)
    # No network is trained twice on true data under two names.
    assert not [cell for cell in cells if cell.labels.name == "noise_images" and cell.labels.random_share == 0]


def test_one_layer_networks_up_to_eight_layers_in_three_widths():
    sweep = [cell.model for cell in study("layer_equality").cells.values() if cell.model.name == "mlp"]
    assert {(model.depth, model.width) for model in sweep} >= {(d, w) for d in (1, 8) for w in (64, 256, 1024)}
    assert {model.depth for model in sweep} == set(range(1, 9))


@pytest.mark.parametrize("reduced", [False, True])
def test_networks_with_and_without_batchnorm_differ_in_it_alone(reduced):
    made = study("batchnorm_landscape", reduced=reduced)
    (probe,) = [probe for probe in made.probes if probe.name == "landscape"]
    assert probe.batchnorm == "batch"
    for lr in (0.1, 0.5):
        cells = {cell.arm: cell for cell in made.cells.values() if cell.seed == 0 and cell.optimizer.lr == lr}
        assert set(cells) == {PLAIN, BATCHNORM, NOISY}
        with_it = cells[BATCHNORM]
        assert cells[PLAIN].model_copy(update={"model": with_it.model, "arm": BATCHNORM}) == with_it
        assert cells[NOISY].model_copy(update={"training": with_it.training, "arm": BATCHNORM}) == with_it
        assert cells[NOISY].training.noise_mode == "affine"


def test_they_are_part_of_the_paper():
    papers = yaml.safe_load((CONFIG / "papers.yaml").read_text(encoding="utf-8"))
    assert set(NAMES) <= set(papers["survey"]["studies"])
