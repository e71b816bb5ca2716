"""Real shells complete commands, options, and the studies, parts, axes and quantities that are there."""

import shutil
import subprocess

import pytest

from gengap.cli.main import main

BASH = """
source ./completion.bash
COMP_WORDS=({words}) COMP_CWORD={last}
_shtab_gengap
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = "source completion.fish; complete -C {line} | cut -f1"
STUDIES = {
    "widths": "title: x\ngrid:\n  model.width: [4]\n  optimizer.lr: [0.1]\n  seed: 0..2\nreduced: {}\n",
    "depths": "title: y\n",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = tmp_path_factory.mktemp("lab")
    for name, text in STUDIES.items():
        path = lab / "config/studies" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (lab / "config/papers.yaml").write_text("wide_paper:\n  studies: [widths]\n")
    for name in ("mine", "mine_too", "__init__"):
        path = lab / "plugins/probes" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return lab


@pytest.fixture(params=["bash", "fish"])
def complete(request, lab, capsys):
    shell = request.param
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    assert main(["completion", shell]) == 0
    (lab / f"completion.{shell}").write_text(capsys.readouterr().out)

    def ask(*words):
        script = BASH.format(words=" ".join(map(repr, words)), last=len(words) - 1)
        if shell == "fish":
            script = FISH.format(line=repr(" ".join(words)))
        done = subprocess.run([shell, "-c", script], cwd=lab, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return {word.strip() for word in done.stdout.split() if word.startswith(words[-1])}

    return ask


def test_commands_options_and_studies_are_completed(complete):
    assert {"watch"} == complete("gengap", "wat")
    assert complete("gengap", "watch", "w") == {"widths", "widths-reduced"}
    assert complete("gengap", "plan", "d") == {"depths"}
    assert "--quantity" in complete("gengap", "watch", "--")


def test_papers_are_completed_where_one_may_be_named(complete):
    assert complete("gengap", "campaign", "wid") == {"widths", "widths-reduced", "wide_paper", "wide_paper-reduced"}
    assert complete("gengap", "campaign", "wide") == {"wide_paper", "wide_paper-reduced"}
    assert complete("gengap", "plan", "wide") == {"wide_paper", "wide_paper-reduced"}
    assert complete("gengap", "watch", "wide") == set()


def test_names_of_parts_are_completed_by_their_kind(complete):
    assert complete("gengap", "parts", "fig") == {"figure"}
    assert complete("gengap", "parts", "probe", "hessian") == {"hessian_extremes", "hessian_spectrum"}
    assert complete("gengap", "parts", "probe", "mi") == {"mine", "mine_too"}
    assert complete("gengap", "parts", "figure", "mi") == set()
    assert complete("gengap", "parts", "table", "expl") == {"explains", "explanations"}
    assert complete("gengap", "path", "figure", "wid") == {"widths", "widths-reduced"}
    assert complete("gengap", "path", "page_figure", "widths", "measure") == {"measure_against_gap"}


def test_the_name_of_a_new_part_is_not_completed(complete):
    assert "distance" not in complete("gengap", "new", "probe", "")


def test_axes_and_quantities_are_completed(complete):
    assert complete("gengap", "watch", "widths", "--by", "") == {"width", "lr"}
    assert complete("gengap", "watch", "widths-reduced", "--by", "w") == {"width"}
    assert complete("gengap", "watch", "depths", "--by", "") == set()
    assert complete("gengap", "watch", "widths", "--quantity", "test") == {"test_loss", "test_accuracy"}


def test_the_script_for_zsh_is_one_that_zsh_reads(lab, capsys):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    assert main(["completion", "zsh"]) == 0
    (lab / "completion.zsh").write_text(capsys.readouterr().out)
    asked = "source ./completion.zsh; words=(watch wid) CURRENT=2; compadd() {{ print -l ${{(P)2}} }}; _gengap_{}"
    script = "autoload -U compinit; compinit -u -D; " + asked.format("studies")
    done = subprocess.run(["zsh", "-fc", script], cwd=lab, capture_output=True, text=True)
    assert set(done.stdout.split()) == {"widths", "widths-reduced", "depths"}, done.stderr
