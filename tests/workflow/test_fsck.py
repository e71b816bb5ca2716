"""`gengap fsck` names every damaged file and has it made again, by real Snakemake."""

import json

import pytest
from clones import call

from gengap.errors import UserError
from gengap.files import storage
from gengap.snakemake_support import records
from gengap.training import cell_store

PACK = "results/tiny/packs/width=2_pack=0"
MADE_AGAIN = (f"{PACK}/weights.h5", "results/tiny/figures/accuracy_by_width.png", "results/tiny/verdicts.csv")


def flip(path, place=-9):
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def record_of(workspace, name):
    return next(record for record, path in records.everything(workspace.folder) if str(path) == name)


@pytest.mark.thorough
def test_what_is_damaged_is_named_and_made_again(workspace):
    assert "0 files damaged" in call(workspace.folder, "gengap", "fsck")
    weights = (workspace / MADE_AGAIN[0]).read_bytes()
    (entry, *_) = sorted((workspace / ".gengap/store/cells").glob("*/*.h5"))
    record = record_of(workspace, "results/tiny/tables/final_performance.csv")
    for name in MADE_AGAIN:
        flip(workspace / name)
    flip(entry)
    flip(record, 300)
    told = call(workspace.folder, "gengap", "fsck", status=1)
    for name in MADE_AGAIN:
        assert f"{name}: is " in told
        assert f"made again  snakemake {name}\n" in told.replace("'", "")
    assert "made from   results/tiny/measurements.h5" in told
    assert "data/prepared/gaussian_image_size=8_n_train=400_n_test=200.h5" in told
    assert f"{entry.relative_to(workspace.folder)}: is damaged" in told
    assert "of tiny: {" in told  # the cell's settings
    assert "Snakemake's record of results/tiny/tables/final_performance.csv" in told
    assert "5 files are damaged. `gengap fsck --repair`" in told
    # A command that reads one ends with one sentence.
    told = call(workspace.folder, "gengap", "explain", MADE_AGAIN[0], status=1)
    assert told.count("\n") == 1
    assert "weights.h5: is damaged" in told
    assert "gengap fsck" in told

    told = call(workspace.folder, "gengap", "fsck", "--repair")
    assert "Set aside below .gengap/damaged: 5 files" in told
    assert (workspace / f".gengap/damaged/{MADE_AGAIN[0]}").exists()
    assert "0 files damaged" in call(workspace.folder, "gengap", "fsck")
    assert cell_store.is_whole(entry)
    assert numbers(workspace / MADE_AGAIN[0]) == numbers_in(weights, workspace)
    status, output = workspace.run("--cores", "1")
    assert status == 0, output
    assert workspace.planned() == set()


def numbers(path):
    with storage.reading(path, "weights") as file:
        return {name: array.tobytes() for name, array in storage.read_arrays(file["weights"]).items()}


def numbers_in(content, workspace):
    (workspace / "before.h5").write_bytes(content)
    return numbers(workspace / "before.h5")


def test_one_flipped_bit_anywhere_in_a_record_is_noticed_when_it_is_read(workspace):
    path = "results/tiny/verdicts.csv"
    record = record_of(workspace, path)
    assert records.read(path, workspace.folder)["rule"] == "verdicts"
    whole = record.read_bytes()
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        record.write_bytes(content)
        with pytest.raises(UserError, match=rf"Snakemake's record of {path} is damaged.*gengap fsck"):
            records.read(path, workspace.folder)


def test_a_run_makes_again_what_lost_its_record(workspace):
    flip(record_of(workspace, "results/tiny/verdicts.csv"), 300)
    status, output = workspace.run("--dry-run")
    assert status == 0, output
    assert "Snakemake's record of results/tiny/verdicts.csv is damaged; the file is made again." in output
    assert "Judging tiny" in output
    status, output = workspace.run("--cores", "1")
    assert status == 0, output
    assert workspace.planned() == set()


def test_a_record_says_what_was_read_and_made(finished_workspace):
    for record, path in records.everything(finished_workspace.folder):
        content = json.loads(record.read_text())
        assert set(content["gengap"]["inputs"]) == set(content["input"] or ())
        assert all(content["gengap"]["inputs"].values())
        assert content["gengap"]["output"]
        assert (finished_workspace.folder / path).exists()
