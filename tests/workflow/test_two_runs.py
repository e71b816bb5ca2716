"""Two runs of Snakemake at once, as two people start them: nothing is damaged, and no network is trained twice."""

import shutil
import threading

import pytest
from stored import arrays

pytestmark = pytest.mark.long
PACKS = ("width=2_pack=0", "width=3_pack=0")


def together(*runs):
    """Statuses and outputs of runs that go on at the same time."""
    found = {}
    threads = [
        threading.Thread(target=lambda key=key, run=run: found.update({key: run()}), daemon=True) for key, run in runs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(runs)
    for status, output in found.values():
        assert status == 0, output
    return found


def weights(study):
    return [f"results/{study}/packs/{pack}/weights.h5" for pack in PACKS]


@pytest.mark.thorough
def test_two_clones_share_a_store(finished_workspace, tmp_path):
    """They have the data, so that both begin to train at once; the store and the networks are all that they share."""
    clones = [finished_workspace.copy(tmp_path / name) for name in ("one", "other")]
    for clone in clones:
        shutil.rmtree(clone / "results")
        shutil.rmtree(clone / ".gengap/store")
    options = (*weights("tiny"), "--config", f"store={tmp_path / 'store'}")
    together(*((clone.folder, lambda clone=clone: clone.run(*options)) for clone in clones))
    for clone in clones:
        for path in weights("tiny"):
            assert arrays(clone / path) == arrays(finished_workspace / path)
        assert clone.planned(*weights("tiny")) == set()
    assert len(list((tmp_path / "store/cells").rglob("*.h5"))) == 2


@pytest.mark.thorough
def test_two_studies_in_one_folder_share_data_that_are_there(workspace):
    """Each to its collected measurements; what comes after them is of one study alone, and has one run's jobs."""
    text = (workspace / "config/studies/tiny.yaml").read_text()
    text = text.replace("  - {model.width: [3], optimizer.lr: [0.1], seed: [0]}\n", "")
    for name, seed in (("one", 1), ("other", 2)):
        (workspace / f"config/studies/{name}.yaml").write_text(text.replace("seed: [0]", f"seed: [0, {seed}]"))
    cells = {name: f"results/{name}/cells.csv" for name in ("one", "other")}
    together(*((name, lambda path=path: workspace.run(path)) for name, path in cells.items()))
    assert workspace.planned(*cells.values()) == set()
    assert len(list((workspace / ".gengap/store/cells").rglob("*.h5"))) == 2 + 2
