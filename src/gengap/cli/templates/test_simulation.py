"""The simulation NAME against its distribution."""

import torch

from gengap.cli.templates.simulation import simulate
from gengap.studies.simulation import Point


def test_the_mean_has_variance_one_over_n_and_a_draw_does_not_depend_on_the_others():
    point = Point.model_validate({"simulation": "NAME", "numbers": 25})
    (means,) = simulate(point, range(2000), torch.device("cpu")).values()
    assert abs(means.mean().item()) < 4 * 0.2 / 2000**0.5
    assert abs(means.var().item() - 1 / 25) < 0.006  # four standard errors
    (mean,) = simulate(point, [7], torch.device("cpu")).values()
    assert mean.item() == means[7].item()
