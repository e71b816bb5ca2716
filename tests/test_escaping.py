"""A study's text is text: in the report, in a terminal."""

import io

import pytest
from docutils.core import publish_parts

from gengap import escaping, logs
from gengap.cli import main
from gengap.errors import UserError
from gengap.studies.study import load_study

HOSTILE = [
    "an unmatched `backtick",
    "*star, **stars, ``literal, |bar, _under and under_",
    "1. one",
    "a) letter",
    "(iv) roman",
    "- bullet",
    "-a option",
    ".. include:: /etc/passwd",
    ".. raw:: html",
    "a literal block::",
    ":field: value",
    ":raw:`<script>alert(1)</script>`",
    "`click <javascript:alert(1)>`_ and [1]_",
    "====",
    "> quote",
    ">>> doctest",
    "| line",
    "<script>alert(1)</script>",
    "back\\slash\\",
    "A. B. Smith and C. Doe (2019): what?",
    "{{ 7 * 7 }} {% include 'x' %}",
    "__ anonymous",
    "#. numbered",
]


def shown(text):
    """The text of a page, without its markup; no complaint of docutils' may be in it."""
    complaints = io.StringIO()
    page = publish_parts(text, writer="html", settings_overrides={"warning_stream": complaints})["body"]
    assert complaints.getvalue() == ""
    return page


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_as_it_is(text):
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    page = shown(f"{escaping.rst(text)}\n\nThe next line.\n")
    assert page == f"<p>{escaped}</p>\n<p>The next line.</p>\n"
    title = shown(f"**{escaping.rst_line(text)}** (``name``)\n\nThe next line.\n")
    assert f"<strong>{escaped}</strong>" in title
    assert "<p>The next line.</p>" in title


def test_paragraphs_and_addresses_stay():
    page = shown(escaping.rst("First,\nof two lines.\n\nSecond: https://arxiv.org/abs/1?a_b=c"))
    assert page.startswith("<p>First, of two lines.</p>\n<p>Second: <a ")
    assert 'href="https://arxiv.org/abs/1?a_b=c"' in page
    assert escaping.rst_line("two\n\nparagraphs") == "two paragraphs"


@pytest.mark.parametrize("sign", ["\x1b[2J", "\x07", "\u202e", "\x9b31m", "\u200b", "\u3164", "\u2800", "\u034f"])
def test_what_is_not_seen_is_spelled(sign):
    told = escaping.printable(f"a{sign}b")
    assert told.isprintable()
    assert told.startswith("a\\")
    assert escaping.printable("größer\n\tµ") == "größer\n\tµ"


@pytest.mark.parametrize("key", ["title", "question", "source"])
def test_a_study_with_characters_that_are_not_seen_is_refused(tmp_path, key):
    texts = {"title": "Study", key: '"\\e[2Jclean"'}
    lines = [f"{name}: {text}" for name, text in texts.items()]
    (tmp_path / "a.yaml").write_text("\n".join([*lines, "grid: {seed: [0]}", ""]))
    with pytest.raises(UserError, match=rf"a\.yaml: {key}: .*is a character that is not seen"):
        load_study(tmp_path / "a.yaml")


def test_messages_reach_the_terminal_without_control_characters(tmp_path, capsys, monkeypatch):
    with logs.job(tmp_path / "log") as log:
        log.info("name \x1b[31m of an archive")
    assert r"name \x1b[31m of" in capsys.readouterr().err
    assert r"name \x1b[31m of" in (tmp_path / "log").read_text()
    monkeypatch.chdir(tmp_path)
    assert main.main(["explain", "\x1b[2J"]) == 1
    assert "\x1b" not in capsys.readouterr().err
