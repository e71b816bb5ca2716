"""Papers: which studies belong together."""

import pytest

from gengap.errors import UserError
from gengap.studies.paper import load_papers, reduced

KNOWN = {"curves": 0, "curves-reduced": 0, "draws": 0}


@pytest.fixture
def load(tmp_path):
    def write_and_load(text):
        path = tmp_path / "papers.yaml"
        path.write_text(text)
        return load_papers(path, KNOWN)

    return write_and_load


def test_a_paper_joins_studies_and_their_reduced_settings(load):
    papers = load("song: {source: Song (2019), studies: [curves, draws]}")
    assert papers["song"].studies == ("curves", "draws")
    assert reduced(papers["song"], KNOWN) == ("curves-reduced", "draws")


def test_no_file_is_no_paper(tmp_path):
    assert load_papers(tmp_path / "papers.yaml", KNOWN) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "song: {source: x, studies: [curve]}",
            "papers.yaml: song.studies: unknown study 'curve'. Did you mean 'curves'?",
        ),
        ("song: {source: x, studies: [curves-reduced]}", "song.studies: unknown study 'curves-reduced'"),
        ("song: {source: x, studies: []}", "papers.yaml: song: studies"),
        ("song: {studies: [curves]}", "song: source: is missing"),
        ("draws: {source: x, studies: [curves]}", "draws: a study has this name"),
    ],
)
def test_a_mistake_names_file_and_paper(load, text, words):
    with pytest.raises(UserError) as caught:
        load(text)
    assert words in str(caught.value)
