"""Winners, their fan-out and the areas under the curve by hand; estimators of correlations against numpy's."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from subjects import by_name, subject

from gengap import models
from gengap.engine import stack
from gengap.probes import correlation_estimators, node_correlation, node_norms, winners
from gengap.probes.context import Teacher
from gengap.studies.settings import Model

MLP = {"model": {"name": "mlp", "width": 12, "depth": 2}}
LAYERS = ("linear1_relu", "linear2_relu")


def taught(probe, n_train=60, **options):
    """Two students of width 12 that moved between three epochs, and a teacher of width 4."""
    made = subject({"name": probe, **options}, MLP, n_train=n_train)
    arch = stack.architecture(models.build(Model(name="mlp", width=4, depth=2), made.train_images.shape[1:], 1))
    generator = torch.Generator().manual_seed(1)
    state = {
        name: torch.randn(1, *value.shape, generator=generator, dtype=torch.float64)
        for name, value in arch.training.named_parameters()
    }
    return dataclasses.replace(made, teacher=Teacher(arch, state))


@pytest.mark.parametrize("seed", range(4))
def test_area_is_the_share_of_pairs_in_the_right_order(seed):
    generator = np.random.default_rng(seed)
    scores = generator.integers(5, size=17).astype(float)  # with ties
    positive = generator.random(17) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(scores[positive], scores[~positive])]
    found = winners.area_under_curve(torch.from_numpy(scores), torch.from_numpy(positive))
    assert found.item() == pytest.approx(np.mean(pairs))
    assert winners.area_under_curve(-torch.from_numpy(scores), torch.from_numpy(positive)) == pytest.approx(1 - found)


def test_area_of_one_class_is_no_number_and_of_the_truth_is_one():
    scores = torch.tensor([3.0, 1.0, 2.0])
    assert math.isnan(winners.area_under_curve(scores, torch.ones(3, dtype=torch.bool)))
    assert math.isnan(winners.area_under_curve(scores, torch.zeros(3, dtype=torch.bool)))
    assert winners.area_under_curve(scores, torch.tensor([True, False, False])) == 1
    assert winners.area_under_curve(scores, torch.tensor([False, True, False])) == 0


def test_winners_are_the_last_epochs_best_and_scores_are_this_epochs():
    made = taught("winners")
    early = dataclasses.replace(made, state=made.start, measured_at=(0.0, 0.0))
    found = by_name(winners.measure(early))
    options = taught("node_correlation").options
    last, first = (by_name(node_correlation.measure(dataclasses.replace(at, options=options))) for at in (made, early))
    norms = by_name(node_norms.measure(early))
    for layer, place in itertools.product(LAYERS, range(2)):
        won = np.zeros(12, dtype=bool)
        won[last["node_correlation", layer][place].argmax(dim=1).numpy()] = True
        fan_out = norms["fan_out_norm", layer][place].numpy()
        at = {quantity: float(values[place]) for (quantity, of), values in found.items() if of == layer}
        assert at["winner_share"] == pytest.approx(won.mean())
        assert at["winner_fan_out_norm"] == pytest.approx(fan_out[won].mean())
        assert at["loser_fan_out_ratio"] == pytest.approx(fan_out[~won].mean() / fan_out[won].mean())
        best = first["node_correlation", layer][place].amax(dim=0).numpy()
        for name, score in (("correlation", best), ("fan_out", fan_out)):
            pairs = [float(a > b) for a, b in itertools.product(score[won], score[~won])]
            assert at[f"winner_auc_by_{name}"] == pytest.approx(np.mean(pairs))


def test_the_area_of_one_teacher_node_is_one_minus_the_papers_rank():
    """For each teacher node alone, the winner's rank among the students counts the losers that are ahead of it."""
    made = taught("node_correlation")
    rho = by_name(node_correlation.measure(made))["node_correlation", "linear1_relu"]
    early = node_correlation.correlations_at(made, made.teacher, 0.0)["linear1_relu"]
    ranks = node_correlation._rank(early, rho.argmax(dim=2))
    for place, node in itertools.product(range(2), range(4)):
        won = torch.zeros(12, dtype=torch.bool)
        won[rho[place, node].argmax()] = True
        area = winners.area_under_curve(early[place, node], won)
        assert area.item() == pytest.approx(1 - ranks[place, node].item())


def test_few_reshuffled_samples_are_drawn_anew_at_every_epoch_and_a_fixed_set_is_not():
    made = taught("correlation_estimators", reshuffled=20, fixed=30)
    found = by_name(correlation_estimators.measure(made))
    again = by_name(correlation_estimators.measure(made))
    later = by_name(correlation_estimators.measure(dataclasses.replace(made, measured_at=(7.0, 7.0))))
    for layer in LAYERS:
        fixed, few = (f"best_node_correlation_{kind}" for kind in ("fixed", "reshuffled"))
        assert torch.equal(found[fixed, layer], later[fixed, layer])
        assert torch.equal(found[few, layer], again[few, layer])
        assert (found[few, layer] != later[few, layer]).all()
        options = taught("node_correlation", samples=30).options
        whole = by_name(node_correlation.measure(dataclasses.replace(made, options=options)))
        torch.testing.assert_close(found[fixed, layer], whole["best_node_correlation", layer])


def test_chance_is_the_larger_the_fewer_samples_there_are():
    made = taught("correlation_estimators", n_train=400, reshuffled=10, fixed=400)
    found = by_name(correlation_estimators.measure(made))
    for layer in LAYERS:
        few, many = (found[f"best_node_correlation_{kind}_by_chance", layer] for kind in ("reshuffled", "fixed"))
        assert (few > 2 * many).all()
        assert (many < 0.2).all()
