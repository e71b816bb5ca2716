"""A user who is a number only, as in a container."""

import os

import pytest

from gengap.snakemake_support import user


@pytest.fixture
def nameless(monkeypatch):
    def unknown(number):
        raise KeyError(number)

    monkeypatch.setattr(user.pwd, "getpwuid", unknown)
    for name in ("USER", "HOME"):
        monkeypatch.setenv(name, "")  # so that it is put back at the end
        monkeypatch.delenv(name)


@pytest.mark.parametrize("home", [None, "/proc/nobody"])
def test_one_without_a_name_gets_a_name_and_a_home_in_the_project(nameless, home, monkeypatch, tmp_path):
    if home:
        monkeypatch.setenv("HOME", home)
    user.provide(tmp_path)
    assert os.environ["USER"] == f"user{os.getuid()}"
    assert os.environ.get("HOME") == home  # no project of ours: nothing is written there
    (tmp_path / "config/studies").mkdir(parents=True)
    user.provide(tmp_path)
    assert os.environ["HOME"] == str(tmp_path / ".gengap/home")


def test_what_is_set_stays(nameless, monkeypatch, tmp_path):
    (tmp_path / "config/studies").mkdir(parents=True)
    monkeypatch.setenv("USER", "ann")
    monkeypatch.setenv("HOME", str(tmp_path))
    user.provide(tmp_path)
    assert (os.environ["USER"], os.environ["HOME"]) == ("ann", str(tmp_path))
