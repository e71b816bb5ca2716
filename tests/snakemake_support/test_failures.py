"""What is said where Snakemake gives up."""

import pytest

from gengap.snakemake_support import failures

NAMES = ("all", "data", "quickstart", "song", "song-reduced")
COMMAND = "RuleException:\nCalledProcessError in file \"/a b/rules/train.smk\", line 24:\nCommand 'python t.py' "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{COMMAND}returned non-zero exit status 1.", ""),
        (f"{COMMAND}returned non-zero exit status 2.", ""),
        (
            f"{COMMAND}returned non-zero exit status 137.",
            "error: the process of a job was killed (SIGKILL), as the system",
        ),
        (
            f"{COMMAND}died with <Signals.SIGKILL: 9>.",
            "error: the process of a job was killed (SIGKILL), as the system",
        ),
        (f"{COMMAND}died with <Signals.SIGSEGV: 11>.", "error: the process of a job was ended by SIGSEGV"),
        (f"{COMMAND}returned non-zero exit status 143.", "error: the process of a job was ended by SIGTERM"),
        (f"{COMMAND}returned non-zero exit status 255.", ""),
    ],
)
def test_a_job_whose_process_did_not_end_by_itself_is_told(text, expected):
    said = failures.told(text, NAMES, failed=False)
    assert said.startswith(expected)
    assert bool(said) == bool(expected)


def no_rule(name):
    return (
        f"MissingRuleException:\nNo rule to produce {name} (if you use input functions make sure that they don't raise "
        "unexpected exceptions)."
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "quikstart",
            "there is no study, simulation or paper of this name. Did you mean 'quickstart'? `gengap check` lists",
        ),
        ("nothing", "there is no study, simulation or paper of this name. `gengap check` lists"),
        ("song.yaml", "nothing makes this file, and it is not there. `gengap check` lists"),
        ("data/prepared/none.h5", "nothing makes this file, and it is not there. `gengap check` lists"),
        ("results/song/figures/none.pdf", "song makes no such file. Its YAML file names its probes"),
        ("results/none/cells.csv", "nothing makes this file, and it is not there. `gengap check` lists"),
    ],
)
def test_a_target_of_nothing_is_one_sentence(name, expected):
    assert failures.told(no_rule(name), NAMES, failed=False).startswith(f"error: {name}: {expected}")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--dry-run", "results/song/figures/none.pdf"],
            "error: results/song/figures/none.pdf: song makes no such file",
        ),
        (["data/prepared/none.h5"], "error: data/prepared/none.h5: nothing makes this file"),
    ],
)
def test_a_target_that_snakemake_cannot_name_is_taken_from_the_call(arguments, expected, monkeypatch):
    monkeypatch.setattr("sys.argv", ["snakemake", *arguments])
    text = (
        "Traceback (most recent call last):\n    raise MissingRuleException(targetfile)\n          ^^^^\n"
        "AttributeError: 'str' object has no attribute 'is_storage'"
    )
    assert failures.told(text, NAMES, failed=False).startswith(expected)


def test_a_locked_folder_says_what_to_do():
    text = (
        "LockException:\nError: Directory cannot be locked. Please make sure that no other Snakemake process is trying "
        "to create the same files in the following directory:\n/a"
    )
    said = failures.told(text, NAMES, failed=False)
    assert "another run makes the same files. Wait until it ends" in said
    assert "snakemake --unlock" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'MissingInputException in rule label in file "/a b/rules/label.smk", line 1:\nMissing input files for rule '
            "label:\n    output: data/a.h5\n    affected files:\n        data/b.h5",
            "error: Missing input files for rule label:\n    output: data/a.h5\n    affected files:\n        data/b.h5",
        ),
        (
            'ProtectedOutputException in rule train in file "/a/train.smk", line 3:\nWrite-protected output files:\n'
            '  a.h5\n  File "/usr/lib/snakemake/jobs.py", line 9, in prepare',
            "error: Write-protected output files:\n  a.h5",
        ),
        ("WorkflowError:\nError: no space left on device", "error: no space left on device"),
        ("Something else", "error: Something else"),
        ("RuleException.", "RuleException."),
    ],
)
def test_of_any_other_error_the_class_and_the_line_of_code_are_left_out(text, expected):
    assert failures.told(text, NAMES, failed=False) == expected


def test_that_some_job_failed_is_said_only_where_none_was_named():
    text = "WorkflowError:\nAt least one job did not complete successfully."
    assert failures.told(text, NAMES, failed=True) == ""
    assert failures.told(text, NAMES, failed=False) == "error: At least one job did not complete successfully."
