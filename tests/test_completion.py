"""A real bash completes commands, options and the studies that are there."""

import subprocess

import pytest

from gengap.cli.main import main

ASK = """
source ./completion
COMP_WORDS=({words}) COMP_CWORD={last}
_shtab_gengap
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def complete(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["completion", "bash"]) == 0
    (tmp_path / "completion").write_text(capsys.readouterr().out)
    for name, text in (("widths", "title: x\nreduced: {}\n"), ("depths", "title: y\n")):
        path = tmp_path / "config/studies" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def ask(*words):
        script = ASK.format(words=" ".join(map(repr, words)), last=len(words) - 1)
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return {word.strip() for word in done.stdout.split()}

    return ask


def test_commands_options_and_studies_are_completed(complete):
    assert {"watch"} == complete("gengap", "wat")
    assert complete("gengap", "watch", "w") == {"widths", "widths-reduced"}
    assert complete("gengap", "plan", "d") == {"depths"}
    assert "--quantity" in complete("gengap", "watch", "--")
