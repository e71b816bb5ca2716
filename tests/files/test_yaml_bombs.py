"""YAML that is small and stands for much, or that never ends: refused at once, in one sentence."""

import os

import pytest

from gengap.errors import UserError
from gengap.studies import reading
from gengap.studies.reading import read_yaml
from gengap.studies.study import load_study


def laughs(levels):
    """Each level is ten times the one before: the last stands for 10^levels texts."""
    lines = ["a0: &a0 [lol]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    return "\n".join(lines)


def merges(levels):
    lines = ["m0: &m0 {k: 1}"]
    for level in range(1, levels):
        lines.append(f"m{level}: &m{level} {{<<: [{', '.join([f'*m{level - 1}'] * 10)}]}}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (laughs(12), "keys and values with its aliases written out"),
        (merges(12), "keys and values with its aliases written out"),
        ("a: &a [*a]", "an anchor contains itself"),
        ("a: &a {b: *a}", "an anchor contains itself"),
        ("a: " + "[" * 20_000, "nested too deeply"),
        ("a: " + "{a: " * 20_000, "nested too deeply"),
        ("a: " + "9" * 10_000, "holds a number that cannot be read"),
        ('!!python/object/apply:os.system ["touch harmed"]', "must hold keys and values"),
        ('a: !!python/object/apply:os.system ["touch harmed"]', "is not allowed"),
    ],
)
def test_a_bomb_is_refused(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(text)
    for read in (read_yaml, load_study):
        with pytest.raises(UserError, match=words) as caught:
            read(tmp_path / "a.yaml")
        assert str(caught.value).startswith(str(tmp_path / "a.yaml"))
        assert len(str(caught.value)) < 1000
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


@pytest.mark.parametrize("kind", ["large", "endless", "pipe", "folder"])
def test_what_is_no_text_of_a_sensible_size_is_not_read(tmp_path, kind):
    path = tmp_path / "a.yaml"
    if kind == "large":
        with path.open("wb") as file:
            file.truncate(reading.MOST_BYTES + 1)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(UserError, match=r"a\.yaml: is no text file of at most 16,777,216 bytes"):
        read_yaml(path)
