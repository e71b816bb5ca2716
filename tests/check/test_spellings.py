"""Short, dotted and nested spellings of a key are one key: neither wins unsaid."""

import pytest

from gengap.errors import UserError
from gengap.studies.simulation import load_simulation
from gengap.studies.study import load_study

BASE = "title: t\nbase: {dataset: digits, model: mlp, loss: cross_entropy"


@pytest.fixture
def load(tmp_path):
    def write_and_load(text, *, reduced=False):
        (tmp_path / "s.yaml").write_text(text)
        return load_study(tmp_path / "s.yaml", reduced=reduced)

    return write_and_load


TWICE = [
    (", optimizer.lr: 0.5, optimizer: {lr: 0.1}}", "base: 'optimizer.lr' is given twice, by 'optimizer.lr' and by"),
    (", init: he, init.name: xavier}", "base: 'init.name' is given twice, by 'init' and by 'init.name'"),
    (", init.name: he, init: {name: xavier}}", "base: 'init.name' is given twice"),
    ("}\ngrid: {init: [he, xavier], init.name: [normal]}", "grid: 'init.name' is given twice, by 'init' and by"),
    ("}\ngrid: [{seed: [0]}, {init.name: [he], init: [xavier], seed: [1]}]", "grid: 'init.name' is given twice"),
    ("}\ngrid: {arm: {a: {optimizer.lr: 0.1, optimizer: {lr: 0.2}}}}", "grid.arm.a: 'optimizer.lr' is given twice"),
    (
        "}\ngrid: {arm: {a: {optimizer.lr: 0.1}}, optimizer.lr: [0.2]}",
        "'optimizer.lr' is an axis, and the arm 'a' sets",
    ),
    ("}\ngrid: {arm: {a: {init: he}}, init.name: [xavier]}", "'init.name' is an axis, and the arm 'a' sets it too"),
    ("}\nreduced: {base: {optimizer.lr: 1.0, optimizer: {lr: 2.0}}}", "reduced.base: 'optimizer.lr' is given twice"),
    ("}\ngrid: {seed: [0]}\nreduced: {grid: {init: [he], init.name: [xavier]}}", "grid: 'init.name' is given twice"),
    ("}\npublished: [x, x]", "published: 'x' appears twice"),
]


@pytest.mark.parametrize(("rest", "words"), TWICE)
def test_one_key_in_two_spellings_is_refused(load, rest, words):
    with pytest.raises(UserError) as caught:
        load(BASE + rest, reduced="reduced" in rest)
    assert words in str(caught.value)


def test_a_name_and_its_options_are_two_keys(load):
    cell = load(BASE + ", optimizer: adam, optimizer.lr: 0.5}").cells["base"]
    assert (cell.optimizer.name, cell.optimizer.lr) == ("adam", 0.5)


def test_reduced_replaces_an_axis_in_any_spelling_and_at_its_place(load):
    text = BASE + "}\ngrid: {init.name: [he, xavier], seed: [0]}\nreduced: {grid: {init: [normal]}}"
    assert list(load(text, reduced=True).cells) == ["init=normal,seed=0"]


def test_reduced_replaces_a_setting_in_any_spelling(load):
    text = BASE + ", optimizer: {lr: 0.5}}\nreduced: {base: {optimizer.lr: 0.25}}"
    assert load(text, reduced=True).cells["base"].optimizer.lr == 0.25


def test_axes_of_a_section_without_name_are_one_message(load):
    with pytest.raises(
        UserError, match=r"grid.training: is a section. Give its keys with a dot: training.batch_size, "
    ):
        load(BASE + "}\ngrid: {training: [1]}")


def test_a_simulation_has_each_seed_once(tmp_path):
    path = tmp_path / "draws.yaml"
    path.write_text(
        "title: t\nbase: {simulation: random_matrix, distribution: normal, columns: 3, rows: 5, seed: [1, 1]}\n"
    )
    with pytest.raises(UserError, match="appears twice"):
        load_simulation(path)


@pytest.mark.parametrize(("text", "at"), [("1: 2\n", "keys"), ("scoreboard: {2: 3}\n", "scoreboard"), ("0.5: x\n", "")])
def test_a_number_is_no_key(tmp_path, text, at):
    path = tmp_path / "study.yaml"
    path.write_text(f"title: t\ngrid: {{seed: [0, 1]}}\n{text}")
    with pytest.raises(UserError, match=rf"{at}.* is a number, and no key is one|is read as a number"):
        load_study(path)
