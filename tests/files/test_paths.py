"""Files are known by their place in the project, whichever links lead there."""

from pathlib import Path

import pytest

from gengap.errors import UserError
from gengap.files import paths

FIGURE = Path("results/tiny/figures/x.pdf")


@pytest.fixture
def project(tmp_path):
    """A project with one figure; the working folder is elsewhere."""
    made = tmp_path / "project"
    (made / FIGURE).parent.mkdir(parents=True)
    (made / FIGURE).touch()
    (made / "config").mkdir()
    (made / "config/config.yaml").touch()
    return made


def moved(path, to):
    """Move a file or a folder away, and leave a link to it."""
    to.parent.mkdir(parents=True, exist_ok=True)
    path.rename(to)
    path.symlink_to(to)
    return to


@pytest.mark.parametrize("linked", ["results", "results/tiny", "results/tiny/figures", "config", "."])
@pytest.mark.parametrize("inside", [True, False])
def test_a_folder_that_is_a_link_to_another_disk(project, tmp_path, monkeypatch, linked, inside):
    moved(project / linked if linked != "." else project, tmp_path / "scratch/disk")
    monkeypatch.chdir(project if inside else tmp_path)
    named = FIGURE if inside else project.relative_to(tmp_path) / FIGURE
    for path in (named, project / FIGURE, (project / FIGURE).resolve()):
        assert paths.from_top(path, project) == FIGURE
    assert paths.project_of(named).samefile(project)


def test_a_project_that_is_entered_through_a_link(project, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(project)
    monkeypatch.chdir(tmp_path / "link")
    for path in (FIGURE, tmp_path / "link" / FIGURE, project / FIGURE):
        assert paths.from_top(path, Path()) == FIGURE
        assert paths.from_top(path, tmp_path / "link") == FIGURE


def test_a_file_is_found_from_any_folder(project, tmp_path, monkeypatch):
    for folder in (project, project / "results", (project / FIGURE).parent, tmp_path):
        monkeypatch.chdir(folder)
        assert paths.project_of(project / FIGURE) == project
    monkeypatch.chdir((project / FIGURE).parent)
    assert paths.from_top(Path("x.pdf"), paths.project_of(Path("x.pdf"))) == FIGURE


def test_a_link_inside_the_project_is_followed(project, monkeypatch):
    monkeypatch.chdir(project)
    (project / "latest").symlink_to(project / "results/tiny")
    assert paths.from_top(Path("latest/figures/x.pdf"), project) == FIGURE


def test_outside_is_said(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"lies outside of any project: no folder above it has config/config\.yaml"):
        paths.project_of(Path("x.pdf"))
    with pytest.raises(UserError, match="lies outside the project"):
        paths.from_top(tmp_path / "x.pdf", project)


def test_a_link_to_nothing_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("results").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"results: is a link to .*gone, which does not exist"):
        paths.check_writable(Path("results/tiny/packs"))


def test_files_below_links_are_found(project, tmp_path):
    moved(project / "results/tiny", tmp_path / "scratch")
    assert list(paths.files_below(project / "results")) == [project / FIGURE]
    assert list(paths.files_below(project / "nothing")) == []
