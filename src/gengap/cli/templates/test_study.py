"""The study NAME: how many networks it trains."""

from gengap import layout
from gengap.studies.study import load_study

STUDY = layout.study_file("NAME")


def test_every_width_has_every_seed():
    assert len(load_study(STUDY).cells) == 2 * 3
    assert len(load_study(STUDY, reduced=True).cells) == 2 * 2
