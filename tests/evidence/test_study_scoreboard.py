"""The section `scoreboard` of a study: from its measurements to the table, the picture and the command."""

import typing

import matplotlib
import numpy as np
import pandas as pd
import pytest
import synthetic
from PIL import Image

from gengap import layout
from gengap.cli.main import main
from gengap.errors import UserError
from gengap.evidence import figures, scoreboard, tables
from gengap.evidence.tables import scoreboard as table
from gengap.evidence.tables import scoreboard_equal_loss
from gengap.scoreboard.verdicts import ALPHA, MEANING
from gengap.studies.scoreboard import ALONG, STATISTICS, VerdictWord

GRID = {"model.width": [4, 8, 16, 32], "optimizer.lr": [0.1, 0.2, 0.3, 0.4, 0.5], "seed": list(range(6))}
PROBES = ["performance", "norms", "margin"]
SECTION = {
    "measures": ["path_norm", "margin_median", "spectral_norm_product"],
    "decreasing": ["margin_median"],
    "expected": {"path_norm": "explains", "margin_median": "proxy"},
    "resamples": 60,
}


def values(made):
    """`path_norm` has a part in the gap that the design does not know; the margin knows the width alone."""
    found = {}
    for number, (name, cell) in enumerate(made.cells.items()):
        own, other = np.random.default_rng(number).normal(size=2)
        design = 0.05 * np.log2(cell.model.width) + 0.2 * cell.optimizer.lr
        found[name] = {
            "train_accuracy": 0.9,
            "test_accuracy": 0.9 - design - 0.02 * own,
            "path_norm": 10 + 20 * design + own + 0.2 * other,
            "margin_median": 1 / np.log2(cell.model.width),
            "spectral_norm_product": other,
        }
    return found


def study(folder, name="made_up", grid=GRID, **section):
    made = synthetic.study(folder, grid, name=name, probes=PROBES, scoreboard=SECTION | section)
    return synthetic.collected(folder / name, made, values=values(made), probes=("performance",), snapshots=())


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    return study(tmp_path_factory.mktemp("study"))


def test_the_section_adds_figure_and_table(tmp_path):
    made = synthetic.study(tmp_path, GRID, probes=PROBES, scoreboard=SECTION, figures=["learning_curves"])
    assert [figure.name for figure in made.figures] == ["learning_curves", "scoreboard"]
    assert [table.name for table in made.tables] == ["scoreboard"]


def test_a_signal_explains_and_what_the_design_knows_is_a_proxy(evidence):
    found = table.table(evidence).set_index("measure")
    assert found.loc["path_norm", ["verdict", "expected", "as_expected"]].tolist() == ["explains", "explains", "yes"]
    assert found.loc["margin_median", ["verdict", "expected", "as_expected"]].tolist() == ["proxy", "proxy", "yes"]
    assert found.loc["spectral_norm_product", "expected"] == ""
    assert {"random", "parameter count", "design only", "noisy oracle"} - set(found.index) <= {"parameter count"}
    assert found.loc["path_norm", "granulated_psi[width]"] > 0.5


def test_the_place_of_what_was_expected_to_be_best(tmp_path):
    best = {"granulated_psi[width]": ["path_norm"], "equal_design_correlation": ["path_norm", "spectral_norm_product"]}
    found = table.table(study(tmp_path, expected_best=best)).set_index("measure")
    assert (
        found.loc["path_norm", "expected_to_be_best"]
        == "equal_design_correlation: 1 of 3; granulated_psi[width]: 2 of 3"
    )
    assert found.loc["margin_median", "expected_to_be_best"] == found.loc["random", "expected_to_be_best"] == ""
    assert found.loc[["path_norm", "random"], "rescaled"].tolist() == ["same", ""]


def test_an_unknown_statistic_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected_best: unknown statistic 'granulated_psi\[lrr\]'. Did you mean"):
        synthetic.study(
            tmp_path, GRID, probes=PROBES, scoreboard=SECTION | {"expected_best": {"granulated_psi[lrr]": []}}
        )


def test_names_of_statistics_are_those_of_the_board(evidence):
    columns = set(table.table(evidence).columns)
    assert set(STATISTICS) <= columns
    assert {f"{name}[{axis}]" for name in ALONG for axis in ("width", "lr")} <= columns


def test_an_infinite_measure_is_larger_than_all_others():
    found = scoreboard.ordered(pd.Series([1.0, np.inf, -3.0, -np.inf, np.nan]))
    assert found.rank().tolist()[:4] == [3, 4, 2, 1]
    assert np.isfinite(found).tolist() == [True] * 4 + [False]
    assert scoreboard.ordered(pd.Series([np.inf, -np.inf])).tolist() == [1, -1]


def test_at_equal_loss_a_measure_that_is_the_loss_says_nothing(tmp_path):
    grid = GRID | {"model.width": [4, 6, 8, 12]}
    made = synthetic.study(tmp_path, grid, probes=PROBES, scoreboard=SECTION)
    found = {}
    for number, name in enumerate(made.cells):
        loss, own = np.random.default_rng(number).uniform(size=2)
        measured = {"path_norm": loss, "margin_median": 1.0 + number % 2, "spectral_norm_product": own}
        found[name] = {
            "train_accuracy": 0.9,
            "test_accuracy": 0.5 - 0.3 * loss - 0.1 * own,
            "train_loss": loss,
            **measured,
        }
    made = synthetic.collected(tmp_path / "made", made, values=found, probes=("performance",), snapshots=())
    judged = scoreboard_equal_loss.table(made).set_index("measure")
    assert judged.loc["path_norm", "p"] < ALPHA < 0.1 < judged.loc["path_norm", "p_at_equal_train_loss"]
    assert judged.loc["spectral_norm_product", "p_at_equal_train_loss"] < ALPHA


def test_the_picture_shows_words_and_is_drawn(evidence, tmp_path):
    paths = {key: tmp_path / path for key, path in layout.figure_files("made", "scoreboard").items()}
    figures.draw("scoreboard", evidence, paths)
    drawn = pd.read_csv(paths["csv"])
    assert drawn["measure"].tolist()[:2] == ["path_norm", "margin_median"]
    shown = figures.plot("scoreboard", evidence)
    labels = [label.get_text() for label in shown.axes[0].get_yticklabels()]
    assert {"− median margin", "path norm"} <= set(labels)
    assert all(text.get_fontsize() >= 6.5 for text in shown.findobj(matplotlib.text.Text) if text.get_text().strip())
    shown.draw_without_rendering()
    drawn, (width, height) = shown.get_tightbbox(), shown.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) >= 0
    with Image.open(paths["png"]) as picture:
        assert picture.size[0] > 1500
    tables.write("scoreboard", evidence, {kind: tmp_path / f"t.{kind}" for kind in ("csv", "md", "tex", "html")})
    assert "as expected" in (tmp_path / "t.md").read_text()


def test_networks_that_failed_are_left_out_and_counted(tmp_path):
    made = synthetic.study(tmp_path, GRID, probes=PROBES, scoreboard=SECTION)
    failed = dict.fromkeys(list(made.cells)[:3], "dead")
    found = synthetic.collected(
        tmp_path / "r", made, values=values(made), status=failed, probes=("performance",), snapshots=()
    )
    population = scoreboard.networks([found], scoreboard.settings_of(found))
    assert population.left_out == {"dead": 3}
    assert len(population.table) == len(made.cells) - 3


def test_too_few_networks_end_with_a_sentence_and_not_with_a_failed_job(tmp_path):
    made = synthetic.study(tmp_path, GRID, probes=PROBES, scoreboard=SECTION)
    failed = dict.fromkeys(list(made.cells)[:-30], "dead")
    found = synthetic.collected(
        tmp_path / "r", made, values=values(made), status=failed, probes=("performance",), snapshots=()
    )
    shown = table.table(found)
    assert shown["verdict"].tolist() == ["undecided"]
    assert "5 configurations are left; at least 8" in shown["why"][0]
    drawn = figures.plot("scoreboard", found)
    assert any("too few networks" in text.get_text() for text in drawn.findobj(matplotlib.text.Text))


def test_several_studies_are_one_population(tmp_path):
    one = study(tmp_path, "one", GRID | {"optimizer.lr": [0.1, 0.2]})
    other = study(tmp_path, "other", GRID | {"optimizer.lr": [0.3, 0.4, 0.5]})
    settings = scoreboard.settings_of(one)
    population = scoreboard.networks([one, other], settings.model_copy(update={"axes": ("width", "lr")}))
    assert population.axes == ("study", "width", "lr")
    assert len(population.table) == 120
    assert sorted(population.table["lr"].astype(float).unique()) == [0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.thorough
def test_the_command_takes_names_of_studies(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = synthetic.study(tmp_path, GRID, probes=PROBES, scoreboard=SECTION)
    folder = layout.results("made_up")
    synthetic.collected(folder, made, values=values(made), probes=("performance",), snapshots=())
    assert main(["scoreboard", "made_up"]) == 0
    out = capsys.readouterr().out
    assert "120 networks in 20 configurations of width, lr" in out
    assert pd.read_csv("scoreboard/scoreboard.csv")["verdict"][0] == "explains"
    assert main(["scoreboard", "made_up", "--measure", "path_norm", "--out", "alone"]) == 0
    assert pd.read_csv("alone/scoreboard.csv")["measure"].tolist()[0] == "path_norm"
    assert "margin_median" not in capsys.readouterr().out
    assert main(["scoreboard", "made_up", "--seed", "seed"]) == 1
    assert "--seed: is for a table" in capsys.readouterr().err
    assert main(["scoreboard", "nothing"]) == 1
    assert "nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"axes": ["depth"]}, "scoreboard.axes: unknown axis 'depth'"),
        ({"measures": ["hessian_trace"]}, "scoreboard.measures: unknown quantity"),
        ({"equal": ["train_los"]}, "Did you mean 'train_loss'"),
        ({"gap": "gap"}, "scoreboard.gap: unknown quantity"),
        ({"expected": {"path_norm": "wins"}}, "scoreboard.expected"),
        ({"expected": {"train_loss": "proxy"}}, "Add it to scoreboard.measures"),
        ({"axes": []}, "scoreboard.axes: is empty"),
        ({"equal": ["path_norm"], "measures": ["path_norm"]}, "'path_norm' has two roles"),
        ({"at_least": {"train_accuracy": 99}}, "train_accuracy: 99 is not allowed: it is a share from 0 to 1"),
        ({"resamples": 3}, "scoreboard.resamples"),
        ({"at_least": {"train_acc": 0.5}}, "scoreboard.at_least"),
    ],
)
def test_what_a_study_cannot_mean_is_refused(tmp_path, section, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        synthetic.study(tmp_path, GRID, probes=PROBES, scoreboard=SECTION | {"expected": {}} | section)


def test_a_grid_too_small_for_any_verdict_is_refused(tmp_path):
    with pytest.raises(UserError, match="4 configurations, and at least 8"):
        synthetic.study(tmp_path, GRID | {"optimizer.lr": [0.1]}, probes=PROBES, scoreboard=SECTION)


def test_without_a_design_there_is_none(tmp_path):
    with pytest.raises(UserError, match="nothing but the seed"):
        synthetic.study(tmp_path, {"seed": [0, 1]}, probes=PROBES, scoreboard={})


def test_the_words_are_those_of_the_verdicts():
    assert set(typing.get_args(VerdictWord)) == set(MEANING)
