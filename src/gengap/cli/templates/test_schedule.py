"""The schedule NAME against numbers found by hand."""

from gengap.cli.templates.schedule import decide
from gengap.studies.settings import Schedule


def test_the_rate_is_halved_after_every_half_life():
    settings = Schedule.model_validate({"name": "NAME", "half_life": 4.0})
    assert [decide(settings, 20, done, []).multiplier for done in (0, 4, 12)] == [1.0, 0.5, 0.125]
