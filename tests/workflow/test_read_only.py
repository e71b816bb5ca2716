"""Results that cannot be written: said before any job, and everything stays as it was."""


def test_a_read_only_results_folder_is_one_message(workspace, read_only):
    workspace.edit("config/studies/tiny.yaml", "title: Tiny", "title: Small")
    before = workspace.results()
    with read_only(workspace / "results"):
        status, output = workspace.run()
    assert status != 0
    assert "results/tiny/packs: cannot be written. Make " in output
    assert "or run a copy of the project elsewhere" in output
    assert "Traceback" not in output
    assert workspace.results() == before
    status, output = workspace.run("results/tiny/cells.csv")
    assert status == 0, output
