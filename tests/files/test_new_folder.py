"""A folder for a user is whole or is not there."""

import errno
import os
import stat

import pytest

from gengap.errors import UserError
from gengap.files.new_folder import new_folder


def test_it_has_its_name_at_the_end_and_is_readable_as_any_folder(tmp_path):
    folder, before = tmp_path / "above" / "made", os.umask(0o022)
    try:
        with new_folder(folder, "gengap make") as building:
            (building / "file").write_text("whole")
            assert not folder.exists()
    finally:
        os.umask(before)
    assert (folder / "file").read_text() == "whole"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("wrong"), OSError(errno.ENOSPC, "No space left")])
def test_of_what_failed_nothing_is_left(tmp_path, error):
    def fail():
        with new_folder(tmp_path / "made", "gengap make") as made:
            (made / "file").write_text("half")
            raise error

    with pytest.raises((KeyboardInterrupt, UserError)) as raised:
        fail()
    assert list(tmp_path.iterdir()) == []
    if isinstance(error, OSError):
        assert str(raised.value) == f"{tmp_path}/made: could not be written (No space left). Nothing of it was kept."


@pytest.mark.parametrize("kind", ["folder", "file", "link to nothing"])
def test_what_is_there_is_left_alone(tmp_path, kind):
    path = tmp_path / "made"
    {"folder": path.mkdir, "file": path.touch, "link to nothing": lambda: path.symlink_to("gone")}[kind]()
    with (
        pytest.raises(UserError, match=r"made: exists already, and `gengap make` replaces nothing. Name a new folder."),
        new_folder(path, "gengap make"),
    ):
        pytest.fail("it was begun")
    assert [one.name for one in tmp_path.iterdir()] == ["made"]


def test_a_place_that_cannot_hold_it_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"made: cannot be made \(.*\). Name a folder in one"),
        new_folder(tmp_path / "file" / "made", "gengap make"),
    ):
        pytest.fail("it was begun")
