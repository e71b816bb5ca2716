"""What a run says on the terminal: few lines, and none of thousands of characters."""

import logging
import types

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from gengap.snakemake_support import console

SETTINGS = {"verbose": False, "dryrun": False, "stdout": True, "printshellcmds": False, "quiet": None}


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(console.time, "strftime", lambda form: "12:00:00")
    return now


@pytest.fixture
def terminal(clock, capsys):
    """Makes a handler; returns what records are said as, line by line."""

    def make(**settings):
        handler = console.LogHandler(types.SimpleNamespace(**SETTINGS | settings), None)

        def said(text=None, level=logging.INFO, **extra):
            record = logging.LogRecord("snakemake", level, "", 0, text, (), None)
            vars(record).update(extra)
            handler.emit(record)
            return capsys.readouterr().out.splitlines()

        return said

    return make


def run(said, clock, jobs, seconds):
    """Run jobs of (number, rule), one after another; return all lines."""
    lines = []
    for done, (number, rule) in enumerate(jobs, 1):
        lines += said(
            event=LogEvent.JOB_INFO, jobid=number, rule_name=rule, rule_msg=f"Doing {rule}", reason="x" * 4000
        )
        clock[0] += seconds
        lines += said("finished", event=LogEvent.JOB_FINISHED, job_id=number)
        lines += said(event=LogEvent.PROGRESS, done=done, total=len(jobs))
    return lines


def test_a_run_of_47_jobs_fits_on_a_screen_and_tells_the_time_left(terminal, clock):
    said = terminal()
    stats = {"train": 9, "probe": 36, "collect": 1, "figure_path": 1, "total": 47}
    lines = said("Job stats:", event=LogEvent.RUN_INFO, stats=stats)
    assert lines == ["47 jobs: 9 train, 36 probe, 1 collect, 1 figure"]
    jobs = [*enumerate(["train"] * 9 + ["probe"] * 36 + ["collect", "figure_path"])]
    lines += run(said, clock, jobs, 5.0)
    assert len(lines) < 25
    assert max(map(len, lines)) < 100
    assert lines[1] == "12:00:00 2 of 47 jobs done, at least 35 s left"  # seven more to train; the rest is unknown
    assert lines[-1] == "12:00:00 47 of 47 jobs done, took 3 min 55 s"
    assert not any("Doing" in line for line in lines)


def test_of_jobs_of_a_kind_that_has_not_run_no_time_is_told(terminal, clock):
    said = terminal()
    said("", event=LogEvent.RUN_INFO, stats={"prepare": 1, "train": 1, "total": 2})
    said(event=LogEvent.JOB_INFO, jobid=1, rule_name="prepare", rule_msg="Preparing", reason="")
    clock[0] += 30.0
    said("", event=LogEvent.JOB_FINISHED, job_id=1)
    lines = said(event=LogEvent.PROGRESS, done=1, total=2)
    assert lines == ["12:00:00 1 of 2 jobs done, how long the others take is not known yet"]


def test_jobs_side_by_side_count_as_such_in_the_time_left(terminal, clock):
    said = terminal()
    said("", event=LogEvent.RUN_INFO, stats={"train": 6, "total": 6})
    for number in (1, 2):
        said(event=LogEvent.JOB_INFO, jobid=number, rule_name="train", rule_msg="Training", reason="")
    clock[0] += 30.0
    for number in (1, 2):
        said("", event=LogEvent.JOB_FINISHED, job_id=number)
    assert said(event=LogEvent.PROGRESS, done=2, total=6) == ["12:00:00 2 of 6 jobs done, 1 min 00 s left"]


@pytest.mark.parametrize("names", [["all"], ["quickstart", "data"], ["luck"]])
def test_rules_that_only_name_others_are_no_jobs(terminal, clock, monkeypatch, names):
    monkeypatch.setattr(console, "without_output", {"all", "data", "quickstart", "luck"})
    said = terminal()
    stats = {"train": 2, **dict.fromkeys(names, 1), "total": 2 + len(names)}
    assert said("Job stats:", event=LogEvent.RUN_INFO, stats=stats) == ["2 jobs: 2 train"]
    lines = run(said, clock, [*enumerate([*names[1:], "train", "train", *names[:1]])], 40.0)
    assert [line for line in lines if "done" in line] == [
        *["12:00:00 0 of 2 jobs done, how long the others take is not known yet"] * len(names[1:]),
        "12:00:00 1 of 2 jobs done, 40 s left",
        f"12:00:00 2 of 2 jobs done, took {'2 min 00 s' if names[1:] else '1 min 20 s'}",
    ]


def test_a_dry_run_says_why_in_one_short_line(terminal, clock):
    said = terminal(dryrun=True)
    lines = said(
        event=LogEvent.JOB_INFO, jobid=3, rule_name="train", rule_msg="Training a", reason="Params\n" + "x" * 4000
    )
    assert lines[0] == "Job 3: Training a"
    assert lines[1].startswith("    Params xxx")
    assert len(lines[1]) < 120
    assert said("", event=LogEvent.RUN_INFO, stats={"train": 1}) == ["1 job: 1 train"]
    assert said("", event=LogEvent.RUN_INFO, stats={"train": 1}) == []


@pytest.mark.parametrize("text", ["Building DAG of jobs...", "Select jobs to execute...", "Provided cores: 2", ""])
def test_noise_is_left_to_the_log_file(terminal, text):
    assert terminal()(text) == []


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Nothing to be done (all requested files are present and up to date).", logging.INFO),
        ("Building DAG of jobs... failed", logging.WARNING),
        ("Complete log(s): .snakemake/log/1.log", logging.INFO),
    ],
)
def test_what_matters_is_said(terminal, text, level):
    assert terminal()(text, level) == [text]


def test_a_failed_job_names_its_log(terminal):
    failed = {"event": LogEvent.JOB_ERROR, "rule_msg": "Training a of b", "rule_name": "train", "log": ["logs/a.log"]}
    assert terminal()("Error in rule", logging.ERROR, **failed) == [
        "error: Training a of b failed; its log: logs/a.log"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Cannot restore results/a/packs/pack=0/weights.h5: no backup found.",
        "Restored previous version of results/a/packs/pack=0/weights.h5 (updating job failed).",
        "Exiting because a job execution failed. Look above for error messages",
    ],
)
@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_of_a_failure_the_log_file_has_the_rest(terminal, text, level):
    assert terminal()(text, level) == []


def test_a_job_that_fails_is_one_line_with_what_it_did(terminal):
    """Snakemake tells the exception, the job, what becomes of its files, and at last that some failed."""
    said = terminal()
    said(event=LogEvent.JOB_INFO, jobid=3, rule_name="train", rule_msg="Training a of b", reason="")
    lines = said(
        'RuleException:\nCalledProcessError in file "/a b/rules/train.smk", line 24:\nCommand \'set -euo pipefail;  '
        "python train.py' returned non-zero exit status 1.",
        logging.ERROR,
        event=LogEvent.ERROR,
        exception="RuleException",
    )
    failed = {"event": LogEvent.JOB_ERROR, "jobid": 3, "rule_msg": None, "rule_name": "train", "log": ["logs/a.log"]}
    lines += said("Error in rule", logging.ERROR, **failed)
    lines += said("Cannot restore a.h5: no backup found.", logging.WARNING)
    lines += said(
        "WorkflowError:\nAt least one job did not complete successfully.", logging.ERROR, event=LogEvent.ERROR
    )
    assert lines == ["error: Training a of b failed; its log: logs/a.log"]


def test_verbose_says_all(terminal):
    assert terminal(verbose=True)("Building DAG of jobs...") == ["Building DAG of jobs..."]
