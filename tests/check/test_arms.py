"""Arms: cells that come after others, and the shares of their weights that are pruned."""

import itertools

import pytest


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "  training:",
            "  after: {origin: dense}\n  training:",
            "after.origin: 'dense' is to be an arm, and the grid has",
        ),
        ("grid: {", "grid: {after.origin: [a], ", "after.origin: 'a' is to be an arm, and the grid has none"),
        ("  training:", "  arm: x\n  training:", "base.arm: only a grid has arms"),
        ("grid: {", "grid: {arm: {a: {arm: x}}, ", "grid.arm.a: unknown setting 'arm'. Choose from: after.grow"),
        (
            "grid: {",
            "grid: {arm: {a: {}, b: {after: {origin: a, weights: 0}}}, ",
            "weights: 0 are those that its origin starts from, with the same settings, so both train the same network",
        ),
        (
            "grid: {",
            "grid: {arm: {a: {}, b: {model.width: 8, after: {origin: a, grow: true, weights: fresh}}}, ",
            "after.grow: true changes nothing, since after.weights is fresh. Remove it.",
        ),
        (
            "grid: {",
            "grid: {arm: {a: {}, b: {after: {origin: a, prune: [1.0e-7]}}}, ",
            "after.prune: [1e-07] of the 138 weights of 'mlp' is none. Choose a larger share.",
        ),
    ],
)
def test_an_arm_that_is_none_or_changes_nothing_is_refused(edited, refused, old, new, words):
    assert words in refused(edited((old, new)))


CHAIN = "grid: {arm: {dense: {}, ticket: {after: {origin: dense, prune: "


def test_shares_to_prune_are_one_or_one_for_each_layer(edited, refused, loaded):
    for right in ("[0.2]", "[0.2, 0.2, 0.1]"):
        loaded(edited(("grid: {", CHAIN + right + "}}}, ")))
    said = refused(edited(("grid: {", CHAIN + "[0.2, 0.1]}}}, ")))
    assert "cell arm=ticket,lr=0.1,seed=0: after.prune: [0.2, 0.1] has 2 shares, and 'mlp' has 3 " in said
    assert "Give one share, or one for each of them." in said


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ("prune: [0.99]", "leaves no weight in a layer of 16 weights of 'mlp', so only its biases are trained."),
        ("prune: [0.1, 0.1, 0.99], mask: random", "leaves no weight in a layer of 40 weights of 'mlp'"),
        ("prune: [0.999], scope: global", "leaves no weight in any layer but the last of 'mlp'"),
    ],
)
def test_a_layer_without_weights_is_a_warning(edited, loaded, after, words):
    arms = "grid: {arm: {dense: {}, ticket: {after: {origin: dense, " + after + "}}}, "
    (warning,) = loaded(edited(("grid: {", arms))).warnings["study"]
    assert "cell arm=ticket,lr=0.1,seed=0: after.prune: " in warning
    assert words in warning


def test_it_is_the_last_of_several_rounds_that_prunes_a_layer_away(edited, loaded):
    def warned(rounds):
        names = ["dense", *(f"round_{number}" for number in range(rounds))]
        later = (f"{name}: {{after: {{origin: {origin}, prune: [0.6]}}}}" for origin, name in itertools.pairwise(names))
        return loaded(edited(("grid: {", f"grid: {{arm: {{dense: {{}}, {', '.join(later)}}}, "))).warnings["study"]

    assert not warned(3)  # of 16 weights 6, 2 and 1
    (warning,) = warned(4)
    assert "cell arm=round_3," in warning
