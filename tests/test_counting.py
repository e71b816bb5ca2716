"""A number and its noun agree."""

import pandas as pd
import pytest

from gengap.counting import count, noun, span
from gengap.evidence.figures.groups import described_pairs


@pytest.mark.parametrize(("number", "words"), [(0, "0 packs"), (1, "1 pack"), (2, "2 packs"), (1000, "1,000 packs")])
def test_one_thing_is_singular(number, words):
    assert count(number, "pack") == words


def test_other_forms_of_the_noun_and_the_verb_are_given():
    assert [count(number, "class", "classes") for number in (1, 2)] == ["1 class", "2 classes"]
    assert [noun(number, "is", "are") for number in (0, 1, 2)] == ["are", "is", "are"]


@pytest.mark.parametrize(("ends", "words"), [((1, 1), "1 draw"), ((3, 3), "3 draws"), ((1, 5), "1–5 draws")])
def test_a_span_counts_its_larger_end(ends, words):
    assert span(*ends, "draw") == words


def test_one_pair_of_networks_is_told_in_a_title():
    cells = pd.DataFrame({"status": ["finished", "finished"]})
    assert described_pairs(pd.Series([1]), cells) == "1 pair"
    assert described_pairs(pd.Series([2, 1]), cells) == "1–2 pairs"
