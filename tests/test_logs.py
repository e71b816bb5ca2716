"""A job's messages: whose they are on the console, all of them in its file, a mistake without a traceback."""

import pytest

from gengap import logs
from gengap.errors import UserError


def test_the_console_says_whose_line_it_is_and_the_file_need_not(tmp_path, capsys):
    path = tmp_path / "logs/train/lr=0.1_pack=0.log"
    with logs.job(path) as log:
        log.info("50 % done")
    assert capsys.readouterr().err.endswith(" [train lr=0.1_pack=0] 50 % done\n")
    assert path.read_text().endswith(" 50 % done\n")
    assert "[train" not in path.read_text()


def test_a_users_mistake_is_one_message_and_exit_status_1(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, logs.job(tmp_path / "job.log"):
        raise UserError("base.seed: is wrong.")
    assert ended.value.code == 1
    assert "error: base.seed: is wrong." in capsys.readouterr().err
    assert "Traceback" not in (tmp_path / "job.log").read_text()


def test_a_bug_of_ours_shows_its_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit), logs.job(tmp_path / "job.log"):
        1 / 0  # noqa: B018
    assert "bug in gengap" in capsys.readouterr().err
    assert "ZeroDivisionError" in (tmp_path / "job.log").read_text()
