"""On a terminal, a run has a line for each of its jobs; a real pseudo-terminal, and jobs that log as jobs do."""

import logging
import os
import pty
import re
import sys
import tempfile
import time
import types

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from gengap import logs
from gengap.snakemake_support import console

LOG = "results/wide/logs/train/width=4_pack=0.log"
SETTINGS = {"verbose": False, "dryrun": False, "stdout": False, "printshellcmds": False, "quiet": None}


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    """A handler on a terminal of 100 columns; what it has shown, without its colours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    reader, writer = pty.openpty()
    os.set_blocking(reader, False)
    shown = []

    def read(*words):
        """All that was shown, once it has these words: lines are drawn four times a second."""
        while True:
            try:
                shown.append(os.read(reader, 100_000).decode(errors="replace"))
            except BlockingIOError:
                time.sleep(0.02)
            text = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", "".join(shown))
            if all(word in text for word in words):
                return text

    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        handler = console.LogHandler(types.SimpleNamespace(**SETTINGS), None)

        def say(text="", level=logging.INFO, **said):
            record = logging.LogRecord("snakemake", level, "", 0, text, (), None)
            vars(record).update(said)
            handler.emit(record)

        say(event=LogEvent.RUN_INFO, stats={"train": 2, "total": 2})
        say(event=LogEvent.JOB_INFO, jobid=1, rule_name="train", rule_msg="", reason="", log=[LOG])
        yield handler, say, read
        handler.close()
    os.close(reader)


def test_of_a_message_too_long_for_the_terminal_whole_facts_are_left_out(terminal):
    _, _, read = terminal
    with logs.job(LOG) as log:
        told = "1 min 06 s left, epoch 9/20, 0/5 cells finished, 5,123 samples/s, train accuracy 80.1% to 92.7%"
        log.debug(told, extra={logs.STEPS: (9, 20)})
        assert "…" not in read("0/5 cells finished")


def test_a_job_has_a_line_with_the_time_left_and_what_it_warns_of_stays(terminal, tmp_path):
    handler, say, read = terminal
    with logs.job(LOG) as log:
        log.debug("30 s left, epoch 5/20", extra={logs.STEPS: (5, 20)})
        read("all jobs", "train width=4_pack=0", "30 s left, epoch 5/20")
        log.info("epoch 6/20, 28 s left", extra={logs.STEPS: (6, 20)})
        log.info("writing")
        log.warning("no compiler")
        text = read("writing", "[train width=4_pack=0] no compiler")
    assert "epoch 6/20" not in text
    assert [line.split(" ", 1)[1] for line in (tmp_path / LOG).read_text().splitlines()] == [
        "epoch 6/20, 28 s left",
        "writing",
        "no compiler",
    ]
    say(event=LogEvent.JOB_FINISHED, job_id=1)
    say(event=LogEvent.PROGRESS, done=1, total=2)
    read("1 of 2, ")
    say(event=LogEvent.PROGRESS, done=2, total=2)
    handler.close()
    read("2 of 2 jobs done, took")


def test_a_job_whose_run_has_ended_writes_for_itself(terminal):
    handler, _, read = terminal
    with logs.job(LOG) as log:
        handler.close()
        log.debug("5 s left", extra={logs.STEPS: (1, 2)})
        log.info("still at work")
        assert "5 s left" not in read("[train width=4_pack=0] still at work")


@pytest.mark.parametrize("folder", ["a" * 120, "missing"])
def test_where_temporary_files_cannot_hold_a_socket_messages_are_lines(terminal, tmp_path, monkeypatch, folder):
    handler, say, read = terminal
    handler.close()
    handler._screen = None
    (tmp_path / ("a" * 120)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / folder))
    say(event=LogEvent.JOB_INFO, jobid=2, rule_name="train", rule_msg="", reason="", log=[LOG])
    with logs.job(LOG) as log:
        log.info("at work")
    read("[train width=4_pack=0] at work")
    assert not list((tmp_path / ("a" * 120)).iterdir())


def test_a_job_on_another_machine_writes_for_itself(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(logs.TERMINAL, str(tmp_path / "socket"))
    with logs.job(tmp_path / LOG) as log:
        log.info("at work")
    assert capsys.readouterr().err.endswith(" [train width=4_pack=0] at work\n")
