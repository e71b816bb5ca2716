"""Published values of a scoreboard: the shipped ones are whole, and a verdict says whether ours are the same."""

import itertools
from pathlib import Path

import networks
import pytest

from gengap.errors import UserError
from gengap.evidence.published import read_published
from gengap.evidence.reproduced import reproduced
from gengap.scoreboard.board import board

FOLDER = Path(__file__).parents[2] / "config/published"


def test_dziugaites_figure():
    table = read_published(FOLDER / "dziugaite_figure_1.csv")
    counts = table[table["quantity"] == "directed_environments"].set_index("cells")["published"].astype(int)
    assert counts["axis=all"] == 9242 == counts.drop("axis=all").sum()
    overall = table[table["cells"].str.endswith("axis=all")]
    means = overall[overall["quantity"] == "sign_error_mean"]["published"].astype(float).tolist()
    ranks = overall[overall["quantity"] == "sign_error_rank"]["published"].astype(int).tolist()
    assert len(means) == 24
    assert ranks == list(range(1, 25))
    assert all(one <= other for one, other in itertools.pairwise(means))
    width = table.set_index(["cells", "quantity"])["published"]
    assert width["measure=pacbayes_flatness,axis=model_width", "sign_error_mean"] == "0.895"


def test_pgdl_and_known_truth():
    scores = read_published(FOLDER / "pgdl_scores.csv")
    assert scores["published"].tolist()[:2] == ["22.92", "25.22"]
    assert len(scores) == 9
    assert read_published(FOLDER / "known_truth.csv")["published"].tolist() == ["0.778", "0.418", "0.556", "0.129"]


HEADER = "source,table,row,cells,quantity,published,spread,unit,tolerance,note\n"


def published(tmp_path, *rows):
    path = tmp_path / "published.csv"
    path.write_text(
        HEADER
        + "".join(
            f'a,1,"{line}","{cells}",{quantity},{value},,1,,\n' for line, (cells, quantity, value) in enumerate(rows)
        )
    )
    return read_published(path)


def test_verdicts(tmp_path):
    statistics = board(networks.grid(axes=(3, 3), seeds=4), resamples=60).statistics
    means = statistics[statistics["statistic"] == "sign_error_mean"].set_index(["measure", "axis"])
    value = means.loc[("m", "a"), "value"]
    rows = published(
        tmp_path,
        ("measure=m,axis=a", "sign_error_mean", f"{value:.3f}"),
        ("measure=m,axis=a", "sign_error_mean", f"{value + 0.002:.3f}"),
        ("axis=a", "directed_environments", "18"),
        ("axis=b", "directed_environments", "17"),
        ("measure=m", "sign_error_rank", "1"),
        ("measure=path_norm,axis=a", "sign_error_mean", "0.1"),
        ("measure=m,task=task1", "pgdl_score", "1.0"),
    )
    found = reproduced(statistics, rows)
    assert found["verdict"].tolist() == ["agrees", "disagrees"] * 2 + ["agrees"] + ["not comparable"] * 2
    assert found["why"].iloc[-1] == "of the population task1"
    assert reproduced(statistics, rows, "task1")["verdict"].iloc[-1] == "disagrees"


def test_a_wrong_selector_is_named(tmp_path):
    statistics = board(networks.grid(axes=(3, 3), seeds=2), resamples=60).statistics
    with pytest.raises(UserError, match=r"cells: 'width' is not allowed. Choose from: measure, axis, task"):
        reproduced(statistics, published(tmp_path, ("width=4", "granulated_psi", "1")))
