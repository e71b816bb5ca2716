"""What a job is to write is a file of its own, whatever links to DVC's cache were there."""

import os

import pytest

from gengap.snakemake_support.linked_files import own


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_linked_file_becomes_a_file_of_its_own(tmp_path, link):
    (tmp_path / "cached").write_text("content")
    (tmp_path / "cached").chmod(0o444)
    os.utime(tmp_path / "cached", (1, 1))
    link(tmp_path / "cached", tmp_path / "file")
    own([tmp_path / "file", tmp_path / "missing", tmp_path])
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").stat().st_mtime == 1
    (tmp_path / "file").write_text("other")
    assert (tmp_path / "file").stat().st_mode & 0o200
    assert (tmp_path / "cached").read_text() == "content"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cached", "file"]


def test_a_link_to_nothing_and_one_to_a_folder_stay(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "nothing").symlink_to(tmp_path / "missing")
    (tmp_path / "there").symlink_to(tmp_path / "folder")
    own([tmp_path / "nothing", tmp_path / "there"])
    assert (tmp_path / "nothing").is_symlink()
    assert (tmp_path / "there").is_symlink()
