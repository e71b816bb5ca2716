"""The survey's studies along the size compare what they say that they compare."""

from pathlib import Path

import pytest

from gengap.evidence.lottery_arms import kind_of
from gengap.evidence.published import parse_selector, read_published
from gengap.studies.simulation import load_simulation
from gengap.studies.study import axis_values, load_study

CONFIG = Path(__file__).resolve().parents[1] / "config"


def study(name, **options):
    return load_study(CONFIG / f"studies/{name}.yaml", **options)


@pytest.mark.parametrize("name", ["lottery", "intrinsic_dimension"])
def test_every_printed_number_has_five_cells(name):
    made = study(name)
    values = [axis_values(made, cell) for cell in made.cells.values()]
    for published in made.published:
        for selector in read_published(CONFIG / f"published/{published}.csv")["cells"].unique():
            wanted = parse_selector(selector)
            found = [one for one in values if all(str(one[axis]) == value for axis, value in wanted.items())]
            assert len({one["seed"] for one in found}) >= 5, selector


@pytest.mark.parametrize("reduced", [False, True])
def test_networks_grow_up_to_the_threshold_and_have_one_size_at_it(reduced):
    """A hidden layer of H units has (d + 1) H + (H + 1) K parameters; n K of them can fit everything."""
    made = study("descent_networks", reduced=reduced)
    pixels, images = (64, 400) if reduced else (784, 4000)
    widths = {cell.model.width for cell in made.cells.values()}
    parameters = {width: (pixels + 1) * width + 10 * (width + 1) for width in widths}
    assert min(abs(count / (10 * images) - 1) for count in parameters.values()) < 0.01
    for cell in made.cells.values():
        if cell.after.grow:
            assert cell.after.cell.model.width == max(width for width in widths if width < cell.model.width)
            assert parameters[cell.model.width] < 1.01 * 10 * images


@pytest.mark.parametrize("name", ["lottery", "lottery_conv"])
def test_every_control_has_the_mask_or_the_number_of_weights_of_its_ticket(name):
    made = study(name)
    arms = {cell.arm: cell.after for cell in made.cells.values()}
    for arm, after in arms.items():
        _, kind, number = kind_of(arm)
        if kind in ("fresh", "random"):
            ticket = arms[arm.replace(kind, "ticket")]
            assert (ticket.origin, ticket.prune) == (after.origin, after.prune)
        if kind == "ticket":
            assert (after.weights, after.cell.after.links) == (0, number - 1)
        if kind == "rewound":
            assert after.weights == (1 if number == 1 else 0)


def test_random_features_have_a_size_at_the_threshold():
    for reduced in (False, True):
        made = load_simulation(CONFIG / "simulations/descent_features.yaml", reduced=reduced)
        sizes = {point.features for point in made.points.values()}
        assert {point.samples for point in made.points.values()} < sizes
        assert "kernel" in sizes
