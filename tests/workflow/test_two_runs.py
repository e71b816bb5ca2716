"""Two runs of Snakemake at once, as two people start them: nothing is damaged, and no network is trained twice."""

import threading

from stored import arrays


def together(*runs):
    """Statuses and outputs of runs that go on at the same time."""
    found = {}
    threads = [threading.Thread(target=lambda key=key, run=run: found.update({key: run()})) for key, run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for status, output in found.values():
        assert status == 0, output
    return found


def weights_of(workspace, study):
    folder = workspace / f"results/{study}/packs"
    return {path.parent.name: arrays(path) for path in folder.glob("*/weights.h5")}


def test_two_clones_share_a_store(finished_workspace, make_workspace, tmp_path):
    study = (finished_workspace / "config/studies/tiny.yaml").read_text()
    clones = [make_workspace(tmp_path / name, "tiny", study) for name in ("one", "other")]
    store = f"store={tmp_path / 'store'}"
    together(
        *((clone.folder, lambda clone=clone: clone.run("tiny", "--cores", "1", "--config", store)) for clone in clones)
    )
    expected = weights_of(finished_workspace, "tiny")
    assert len(expected) == 2
    for clone in clones:
        assert weights_of(clone, "tiny") == expected
        assert clone.planned("tiny") == set()
    assert len(list((tmp_path / "store/cells").rglob("*.h5"))) == 2


def test_two_studies_in_one_folder_share_data_that_are_there(workspace):
    text = (workspace / "config/studies/tiny.yaml").read_text()
    for name, seed in (("one", 1), ("other", 2)):
        text_of = text.replace("seed: [0]", f"seed: [0, {seed}]")
        (workspace / f"config/studies/{name}.yaml").write_text(text_of)
    together(*((name, lambda name=name: workspace.run(name, "--cores", "1")) for name in ("one", "other")))
    assert workspace.planned("one", "other") == set()
    assert len(list((workspace / ".gengap/store/cells").rglob("*.h5"))) == 2 + 4
