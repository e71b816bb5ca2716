"""`gengap campaign`: what decides most verdicts per minute first, by real Snakemake."""

import os
import signal
import subprocess
import sys

import pytest
from interrupted import ended, prepare, training

from gengap.cli.main import main
from gengap.cost import campaign
from gengap.cost.campaign import Unit

PUBLISHED = """\
source,table,row,cells,quantity,published,spread,runs,unit
Nobody,1,a,"width=2,lr=0.1",train_accuracy,99.99,,,%
Nobody,1,b,"width=2,lr=0.1",test_accuracy,99.99,,,%
Nobody,1,c,"width=3,lr=0.1",train_accuracy,99.99,,,%
"""


def unit(part, seconds, verdicts):
    return Unit("s", part, (), seconds, {("s", number, ""): share for number, share in verdicts.items()})


def test_a_verdict_that_was_decided_otherwise_counts_no_more():
    one = unit("a", 120.0, {0: 1.0, 1: 0.5})
    assert one.rate(set()) == pytest.approx(0.75)
    assert one.rate({("s", 0, "")}) == pytest.approx(0.25)
    assert list(campaign.described([one, unit("b", 60.0, {2: 1.0})])) == [
        "s a    1.5 verdicts      2.0 min       2.0",
        "s b      1 verdicts      1.0 min       3.0",
    ]


@pytest.mark.thorough
def test_a_campaign_runs_what_verdicts_wait_for_and_says_what_it_decided(workspace, monkeypatch, capfd):
    """Width 3 has too few seeds for a verdict, so its pack is left alone."""
    third = "{model.width: [2], optimizer.lr: [0.1], seed: "
    workspace.edit("config/studies/tiny.yaml", f"{third}[0]", f"{third}0..4")
    workspace.edit("config/studies/tiny.yaml", "figures:", "published: [nobody]\nfigures:")
    (workspace / "config/published/nobody.csv").write_text(PUBLISHED)
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setenv("PYTHONPATH", str(workspace / "src"))
    assert main(["campaign", "tiny", "--dry-run"]) == 0
    assert [line.split()[:4] for line in capfd.readouterr().out.splitlines()[:-1]] == [
        ["tiny", "width=2_pack=0", "2", "verdicts"]
    ]
    assert main(["campaign", "tiny", "--hours", "24"]) == 0
    printed = capfd.readouterr().out
    assert "1, a: train_accuracy 99.99 " in printed
    assert " seeds)" in printed
    assert "All that a verdict waits for is done." in printed
    assert main(["campaign", "tiny"]) == 0
    assert "nothing is to run that a verdict waits for" in capfd.readouterr().out


@pytest.mark.thorough
@pytest.mark.long
def test_ctrl_c_ends_a_campaign_and_the_same_command_goes_on(workspace):
    study = "config/studies/tiny.yaml"
    prepare(workspace.folder, study)
    workspace.edit(study, "{model.width: [2], optimizer.lr: [0.1], seed: [0]}", "{model.width: [2], seed: 0..4}")
    workspace.edit(study, "figures:", "published: [nobody]\nfigures:")
    (workspace / "config/published/nobody.csv").write_text(PUBLISHED.replace(",lr=0.1", ""))
    command = [sys.executable, "-c", "from gengap.cli.main import main; raise SystemExit(main())", "campaign", "tiny"]
    environment = os.environ | {"PYTHONPATH": str(workspace / "src")}
    with training(workspace.folder, command, environment) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert ended(workspace.folder, process) == 0
    assert list((workspace / ".gengap/store/unfinished").glob("*.h5"))
    assert list((workspace / ".snakemake/locks").glob("*.lock")) == []
    again = subprocess.run(command, cwd=workspace.folder, env=environment, capture_output=True, text=True, check=False)
    said = again.stdout + again.stderr
    assert again.returncode == 0, said
    assert "going on from epoch 1, step 0" in said
    assert "All that a verdict waits for is done." in said


def test_a_paper_that_does_not_exist(workspace, monkeypatch, capsys):
    monkeypatch.chdir(workspace.folder)
    assert main(["campaign", "tinny"]) == 1
    assert "unknown paper 'tinny'. Did you mean 'tiny'?" in capsys.readouterr().err
    assert main(["campaign", "tiny", "--hours", "0"]) == 1
