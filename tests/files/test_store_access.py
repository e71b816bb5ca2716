"""A store that somebody else can write is refused: who writes it puts numbers into everybody's results."""

import grp
import os

import pytest

from gengap.errors import UserError
from gengap.files import store_access

STRANGER = 54321  # a user and a group without a name


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store_access.make(tmp_path / "store")
    return tmp_path / "store"


def test_a_store_of_ones_own(store):
    store_access.check(store)
    store_access.check(store / "missing")


@pytest.mark.parametrize("name", ["nobody here", "labb", "99999"])
def test_a_group_that_there_is_not_is_refused_before_there_is_a_store(store, name):
    with pytest.raises(UserError, match=rf"store_group: there is no group '{name}' on this machine"):
        store_access.check(store / "missing", name)


def test_a_new_store_is_no_bodys_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        store_access.make(tmp_path / "deep/store")
    finally:
        os.umask(before)
    for folder in ("", "cells", "measurements", "unfinished"):
        assert not (tmp_path / "deep/store" / folder).stat().st_mode & 0o002


@pytest.mark.parametrize("folder", ["", "cells", "measurements", "unfinished"])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o703])
def test_everybody_can_write(store, folder, mode):
    (store / folder).chmod(mode)
    with pytest.raises(UserError, match=r"everybody can write this store.*chmod o-w"):
        store_access.check(store)


@pytest.fixture
def needs_root():
    if os.geteuid():
        pytest.skip("only root can give files away")


@pytest.mark.usefixtures("needs_root")
def test_a_group_can_write(store):
    os.chown(store, -1, STRANGER)
    store.chmod(0o775)
    with pytest.raises(UserError, match=rf"the group {STRANGER} can write this store.*store_group: {STRANGER}"):
        store_access.check(store)
    store.chmod(0o755)
    store_access.check(store)


@pytest.mark.usefixtures("needs_root")
def test_a_group_that_is_named_may_write(store):
    group = grp.getgrnam("nogroup")
    for folder in (store, *store.iterdir()):
        os.chown(folder, STRANGER, group.gr_gid)
        folder.chmod(0o2775)
    with pytest.raises(UserError, match="the group nogroup can write this store"):
        store_access.check(store)
    store_access.check(store, "nogroup")
    with pytest.raises(UserError, match="the group nogroup can write this store"):
        store_access.check(store, "root")
    with pytest.raises(UserError, match=r"store_group: there is no group 'nobody-has-it'"):
        store_access.check(store, "nobody-has-it")


@pytest.mark.usefixtures("needs_root")
def test_somebody_else_owns_it(store, tmp_path):
    for folder in (store, *store.iterdir()):
        os.chown(folder, STRANGER, 0)
        folder.chmod(0o755)
    with pytest.raises(UserError, match=rf"belongs to user {STRANGER}"):
        store_access.check(store)
    os.chown(tmp_path, STRANGER, -1)  # who owns the project can write all of it anyway
    store_access.check(store)


def test_the_workflow_says_it_before_any_job(workspace):
    (workspace / ".gengap/store").chmod(0o777)
    status, output = workspace.run("--dry-run")
    assert status == 1
    assert ".gengap/store: everybody can write this store" in output
    assert "Traceback" not in output
