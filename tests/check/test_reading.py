"""YAML is read as it looks, or refused with what to write instead."""

import pytest

from gengap.errors import UserError
from gengap.studies.reading import MOST_NODES, read_yaml
from gengap.studies.study import load_study


@pytest.fixture
def read(tmp_path):
    def write_and_read(text):
        path = tmp_path / "a.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_yaml(path)

    return write_and_read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: no", "line 1: a: no is read as false. Write false; or 'no' in quotes, if the word is meant."),
        ("b: 1\na: {c: [x, Off]}", "line 2: a.c: Off is read as false"),
        ("a: on", "on is read as true. Write true; or 'on'"),
        ("a: YES", "YES is read as true"),
        ("a: 1:30", "1:30 is read to the base 60, as 90. Write 90; or '1:30' in quotes"),
        ("a: 1:30.5", "to the base 60, as 90.5"),
        ("a: -2:00", "to the base 60, as -120"),
        ("a: 010", "010 is read to the base 8, as 8. Write 10 without leading zeros, or '010' in quotes"),
        ("a: 08", "08 is read as text. Write 8 without leading zeros"),
        ("a: -017", "Write -17 without leading zeros"),
        ("a: 0b10", "0b10 is read to the base 2, as 2. Write that"),
        ("a: 2026-11-28", "is read as a date. Write '2026-11-28' in quotes"),
        ("on: 3", "line 1: the key on is read as true, not as text. Write 'on': ..."),
        ("a: {yes: 3}", "the key yes is read as true"),
        ("~: 3", "the key ~ is read as null"),
        ("0.5: 3", "the key 0.5 is read as a number"),
        ("010: 3", "the key 010 is read as a number"),
        ("a: !!set {x}", "the tag tag:yaml.org,2002:set is not allowed"),
        ("a: !!python/object:os.system x", "is not allowed: only text, numbers"),
    ],
)
def test_what_reads_otherwise_than_it_looks_is_refused(read, text, words):
    with pytest.raises(UserError, match=r"a\.yaml: line \d") as caught:
        read(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 'no'", "no"),
        ('a: "1:30"', "1:30"),
        ("a: True", True),
        ("a: 50_000", 50000),
        ("a: y", "y"),
        ("a: 0", 0),
        ("a: 0.5", 0.5),
        ("a: 0..4", "0..4"),
        ("a: |\n  no\n", "no\n"),
        ("a: {1: x}", {1: "x"}),
        ("\ufeffa: 1\r\n", 1),
    ],
)
def test_what_looks_as_it_reads_is_read(read, text, value):
    assert read(text)["a"] == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice. Remove one."),
        ("x: {a: 1, 'a': 3}", "the key 'a' is given twice"),
        ("x: {1: 2, '1': 3}", "the key '1' is given twice"),
        (
            "b: &b {c: 1}\na:\n  <<: *b\n  <<: *b",
            "line 4: the key '<<' is given twice. Merge several mappings by a list",
        ),
    ],
)
def test_a_key_given_twice_is_named_with_its_line(read, text, words):
    with pytest.raises(UserError) as caught:
        read(text)
    assert words in str(caught.value)


def test_merge_keys_fill_in_what_is_not_given(read):
    assert read("b: &b {c: 1, d: 2}\na: {<<: *b, d: 3}")["a"] == {"c": 1, "d": 3}
    assert read("b: &b {c: 1}\nd: &d {c: 2, e: 3}\na: {<<: [*b, *d]}")["a"] == {"c": 1, "e": 3}
    assert read("b: &b {c: &c {d: 1}}\na: {c: {<<: *c, e: 2}}")["a"] == {"c": {"d": 1, "e": 2}}


def test_a_study_is_merged_with_its_own_base(tmp_path):
    path = tmp_path / "merged.yaml"
    path.write_text(
        "title: Merge keys\n"
        "base: &b\n"
        "  dataset: {name: digits, image_size: 4}\n"
        "  model: {name: mlp}\n"
        "  loss: cross_entropy\n"
        "  training: {epochs: 2}\n"
        "grid: {seed: [0]}\n"
        "reduced:\n"
        "  base: {<<: *b, training: {epochs: 1}}\n"
    )
    full, reduced = load_study(path), load_study(path, reduced=True)
    assert full.cells["seed=0"].training.epochs == 2
    cell = reduced.cells["seed=0"]
    assert (cell.training.epochs, cell.model.name, cell.dataset.image_size) == (1, "mlp", 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x [*x]", "an anchor contains itself"),
        ("a: &x {b: {c: *x}}", "an anchor contains itself"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("a: " + "9" * 5000, "a number that cannot be read"),
        ("a:\n\tb: 1", "line 2: found character '\\t' that cannot start any token (indent by spaces, not by tabs)"),
        ("a: {b: ", "line 1: expected the node content"),
        ("a: 1\n---\nb: 2", "line 2: but found another document"),
        ("a: \x00", "special characters are not allowed"),
        (b"a: \xff", "is not text in UTF-8"),
        ("", "must hold keys and values"),
        ("- a", "must hold keys and values"),
    ],
)
def test_what_is_no_study_is_one_sentence(read, text, words):
    with pytest.raises(UserError) as caught:
        read(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_that_stand_for_billions_are_counted_and_not_written_out(read):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(UserError, match=f"holds 1,234,567,901,245 keys and values .* at most {MOST_NODES:,}"):
        read("\n".join(lines))
