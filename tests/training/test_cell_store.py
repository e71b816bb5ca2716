"""Finished cells are found again, whoever trained them, and only if they are whole."""

import shutil

import pytest
from stored import edited

from gengap.training import RunOptions, cell_result, cell_store, train_pack


@pytest.fixture
def run(data, tmp_path, caplog):
    """Train cells as the pack of some study, with one store for all; returns records and what the log counted."""

    def train(study, cells, **options):
        caplog.clear()
        paths = tmp_path / study / "weights.h5", tmp_path / study / "history.h5"
        with caplog.at_level("INFO", logger="gengap"):
            train_pack(
                cells, options.get("data", data), *paths, RunOptions(store_folder=tmp_path / "store", device="cpu")
            )
        return cell_result.read(cells, *paths), caplog.text

    return train


def same_bits(one, other):
    assert one.checkpoints.keys() == other.checkpoints.keys()
    assert one.history == other.history
    return all(
        one.checkpoints[epoch][name].equal(other.checkpoints[epoch][name])
        for epoch in one.checkpoints
        for name in one.checkpoints[epoch]
    )


def test_another_study_finds_the_cells_it_shares(run, make_cell):
    first, _ = run("a", {"seed=0": make_cell(0), "seed=1": make_cell(1)})
    second, text = run("b", {"lr=0.05,seed=1": make_cell(1), "lr=0.05,seed=2": make_cell(2)})
    assert "1 of 2 cells are to be trained, 1 were found finished" in text
    assert same_bits(first["seed=1"], second["lr=0.05,seed=1"])


def test_a_cell_of_another_name_is_found_in_the_packs_own_files(run, make_cell, tmp_path):
    """As in a clone, which has results and no store."""
    first, _ = run("a", {"seed=0": make_cell(0), "seed=1": make_cell(1)})
    shutil.rmtree(tmp_path / "store")
    second, text = run("a", {"init=he,seed=1": make_cell(1), "init=he,seed=0": make_cell(0)})
    assert "0 of 2 cells are to be trained, 2 were found finished" in text
    assert same_bits(first["seed=1"], second["init=he,seed=1"])
    assert list(second) == ["init=he,seed=1", "init=he,seed=0"]


@pytest.mark.parametrize("section", [{"optimizer": {"lr": 0.01}}, {"model": {"width": 2}}, {"loss": {"power": 3.0}}])
def test_any_other_setting_is_another_cell(run, make_cell, section):
    run("a", {"cell": make_cell()})
    _, text = run("b", {"cell": make_cell(**section)})
    assert "1 of 1 cells are to be trained" in text


def test_other_data_makes_other_cells(run, make_cell, other_data):
    run("a", {"cell": make_cell()})
    _, text = run("b", {"cell": make_cell()}, data=other_data)
    assert "1 of 1 cells are to be trained" in text


def test_packs_cut_anew_train_nothing(run, make_cell):
    cells = {f"seed={seed}": make_cell(seed) for seed in range(4)}
    run("one pack", cells)
    for part in (slice(0, 2), slice(2, 4)):
        _, text = run(f"half {part.start}", dict(list(cells.items())[part]))
        assert "0 of 2 cells are to be trained, 2 were found finished" in text


def entries(tmp_path):
    return sorted((tmp_path / "store/cells").glob("*/*.h5"))


@pytest.mark.parametrize("damage", ["cut short", "changed weight", "wrong cell"])
def test_a_bad_entry_is_set_aside_and_trained_again(run, make_cell, tmp_path, damage):
    first, _ = run("a", {"seed=0": make_cell(0), "seed=1": make_cell(1)})
    bad, good = entries(tmp_path)
    if damage == "cut short":
        bad.write_bytes(bad.read_bytes()[:2000])
    elif damage == "changed weight":
        with edited(bad) as file:
            file["weights"][-1, 0] ^= 1
    else:
        bad.write_bytes(good.read_bytes())
    second, text = run("b", {"seed=0": make_cell(0), "seed=1": make_cell(1)})
    assert "1 of 2 cells are to be trained, 1 were found finished" in text
    assert "set aside" in text
    assert bad.with_suffix(".damaged").exists()
    assert len(entries(tmp_path)) == 2
    # Alone in its pack a cell may differ in the last bits, since its products are summed in another order.
    for name in first:
        pairs = zip(first[name].history, second[name].history, strict=True)
        assert all(a[2] == pytest.approx(b[2], rel=1e-9) for a, b in pairs)


def test_two_jobs_that_finish_the_same_cell_leave_one_good_copy(run, make_cell, tmp_path, monkeypatch):
    """Both find the entry missing, and both write it."""
    first, _ = run("a", {"cell": make_cell()})
    path = entries(tmp_path)[0]
    monkeypatch.setattr(type(path), "exists", lambda self: False)
    cell_store.put(tmp_path / "store", first["cell"])
    monkeypatch.undo()
    assert len(list(path.parent.iterdir())) == 1
    found = cell_store.get(tmp_path / "store", first["cell"].identity, "cell", make_cell())
    assert same_bits(found, first["cell"])
