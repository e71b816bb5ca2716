"""A user's own part with a header that says what cannot be is told so, in words of ours and not of a library."""

import pytest

from gengap.errors import UserError
from gengap.registry import NEEDED, REGISTRY, headers, load
from gengap.registry.entry import entry

OPTION = '"meaning": "m"'


@pytest.fixture
def message(tmp_path):
    """What is said of a header, as text."""

    def refuse(kind, keys):
        path = tmp_path / "mine.py"
        path.write_text(f'PART = {{"summary": "s", {keys}}}')
        with pytest.raises(UserError) as caught:
            entry(kind, headers.read(path)["mine"], module="plugins.mine", path=path, external=True)
        said = str(caught.value)
        assert said.startswith(f"{path}: PART: ")
        assert not [word for word in ("input should", "valid", "field required", "instance") if word in said.lower()]
        return said

    return refuse


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('"summary": 3', "summary: 3 is not allowed: it must be text."),
        ('"label": 3', "label: 3 is not allowed: it must be text."),
        ('"classes": "many"', "classes: 'many' is not allowed: it must be a whole number."),
        ('"reads": "power"', "reads: 'power' is not allowed: it must be a list."),
        ('"options": 3', "options: 3 is not allowed: it must be keys and values."),
        ('"options": {"a": {}}', "options.a.meaning: is missing. It must be text."),
        ('"options": {"a": {"typ": "int", "default": 1, "meaning": "m"}}', "options.a.typ: unknown key. Remove it."),
    ],
)
def test_a_header_is_told_in_words_of_ours(message, keys, words):
    assert words in message("loss", keys)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ('"type": "int", "default": 1.5', "a.default: 1.5 is not of the type 'int'"),
        ('"type": "int", "default": True', "a.default: True is not of the type 'int'"),
        ('"type": "int", "default": 1, "ge": 5', "a.default: 1 is not within its own limits"),
        ('"type": "float", "default": 1e400', "a.default: inf is not within its own limits"),
        ('"choices": ("x", "y"), "default": "z"', "a.default: 'z' is not of the type '' and none of the choices"),
        ('"default": "z"', "a.type: is missing. Give a type, or choices."),
        ('"type": "str", "default": "x", "ge": 3', "a.ge: is a limit of numbers, and the type is 'str'. Remove it."),
        ('"type": "floats", "default": [1], "lt": 3', "a.lt: is a limit of numbers, and the type is 'floats'"),
        ('"type": "int", "default": 0, "step": 0', "a.step: 0 is not allowed: it must be a whole number from 1."),
    ],
)
def test_an_option_that_could_not_have_its_default_is_refused(message, option, words):
    assert words in message("loss", f'"options": {{"a": {{{option}, {OPTION}}}}}')


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('"images": (10, 5, 1, 4)', "it must be whole numbers from 1: train images, test images, channels, height"),
        ('"images": (0, 5, 1, 4, 2)', "images: (0, 5, 1, 4, 2) is not allowed"),
        ('"images": (10, -5, 1, 4, 2)', "images: (10, -5, 1, 4, 2) is not allowed"),
        ('"images": (10, 5, 1, 4, 3), "class_names": "a b"', "class_names: has 2 names, and images says 3 classes"),
        ('"images": (10, 5, 1, 4, 2), "class_names": "a a"', "class_names: 'a' appears twice"),
        ('"images": (10, 5, 1, 4, 2), "class_sizes": ((5, 6), (3, 2))', "(5, 6) are not the 10 train images of 2"),
        ('"images": (10, 5, 1, 4, 2), "class_sizes": ((5,), (2,))', "(2,) are not the 5 test images of 2 classes"),
        ('"images": (10, 5, 1, 4, 2), "class_sizes": ((5,),)', "class_sizes: must be two lists"),
    ],
)
def test_sizes_of_a_dataset_that_cannot_be_are_refused(message, keys, words):
    assert words in message("dataset", keys)


@pytest.mark.parametrize("modes", ['("exakt",)', "()", '("running", "none")', '"batch"'])
def test_batchnorm_modes_that_there_are_not_are_refused(message, modes):
    assert "batchnorm" in message("probe", f'"batchnorm": {modes}')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('PARTS = {3: {"summary": "x"}}', "PARTS: must hold a header by name"),
        ('x = 1\nPART = {"summary": f"x"}', "PART: is not plain data that ends with a line }, at line 2: write"),
        ('PART = {\n    "summary": str(3),\n}', "PART: is not plain data that ends with a line }, at line 2: write"),
        ('PART = {"summary": "x"', "PART: is not plain data that ends with a line }, at line 1: write"),
    ],
)
def test_a_header_that_is_no_plain_data_is_named_with_its_line(tmp_path, text, words):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UserError) as caught:
        headers.read(tmp_path / "mine.py")
    assert words in str(caught.value)
    assert "object at" not in str(caught.value)


@pytest.mark.parametrize("kind", NEEDED)
def test_a_part_without_its_functions_is_one_sentence(tmp_path, monkeypatch, kind):
    name = f"without_{kind}"
    path = tmp_path / f"{name}.py"
    path.write_text('PART = {"summary": "s"}\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    found = entry(kind, headers.read(path)[name], module=name, path=path, external=True)
    monkeypatch.setitem(REGISTRY[kind], name, found)
    with pytest.raises(UserError, match=rf"{name}\.py: has no function `{NEEDED[kind][0]}`, which every {kind} has"):
        load(kind, name)


@pytest.mark.parametrize("kind", NEEDED)
def test_all_of_ours_have_them(kind):
    for name in REGISTRY[kind]:
        assert all(callable(getattr(load(kind, name), each, None)) for each in NEEDED[kind]), name
