"""Power that goes at any moment leaves every file as it was or as it was to be, whatever was not synced.

Each stage is recorded once, and the record is cut after every call. A store's cells are not waited for: what power
takes of them is noticed by their digests.
"""

import random
import re
import shutil

import power_cut
import pytest
from study import STAGES, contents

from gengap.errors import UserError
from gengap.files import storage

pytestmark = pytest.mark.thorough
RUNS = 6  # of the next run after a cut, over all stages


@pytest.mark.parametrize("older", [False, True])
def test_every_file_is_old_or_new_and_the_next_run_ends_with_the_same_bits(tiny, tmp_path, older):
    chance = random.Random(int(older))
    again = set(chance.sample(STAGES, RUNS // 2))
    for stage in STAGES:
        folder = tiny.copy(stage, older)
        disk = power_cut.Disk.of(folder)
        before, after = contents(folder), tiny.after(stage, older)
        record = tmp_path / f"{stage}.calls"
        record.touch()
        status, output, _ = tiny.stages.run(folder, stage, record=str(record))
        assert status == 0, output
        assert contents(folder) == after
        calls = list(power_cut.read(record))
        assert {call.what for call in calls} >= {"create", "write", "sync", "rename"}
        seen, chosen = {}, chance.randrange(len(calls))
        for number, call in enumerate(calls):
            disk.take(call)
            for way in power_cut.WAYS:
                left = disk.left(way)
                check(left, seen, folder, tmp_path, (before, after), f"{stage}, {way} after call {number}, {call.what}")
                if stage in again and number == chosen and way == "names":
                    run_again(tiny, left, stage, folder, after)
        durable = disk.left("nothing")
        lost = [
            name
            for name in after
            if str(folder / name) not in durable and not re.search("/store/(cells|measurements)/", name)
        ]
        assert not lost, f"{stage}: names that the disk does not know at the end"


def check(left, seen, folder, tmp_path, known, where):
    """Every file is old, new or no file; of the store and of unfinished packs, or known as damaged."""
    before, after = known
    for name, content in left.items():
        relative = str(name).removeprefix(f"{folder}/")
        if relative.endswith(".part") or "logs/" in relative or (relative, content) in seen:
            continue
        alone = tmp_path / "alone"
        shutil.rmtree(alone, ignore_errors=True)
        power_cut.write({name: content}, folder, alone)
        found = contents(alone).get(relative, "")
        seen[relative, content] = True
        if found in ("", before.get(relative), after.get(relative)):
            continue
        if "/store/" in relative:
            if "/measurements/" in relative:  # as of a cell, its digest says whether it is whole
                continue
            kind = "unfinished" if "/unfinished/" in relative else "cell"
            if kind == "unfinished":
                assert not found.startswith("damaged"), f"{where}: {relative} is damaged, although it was synced"
                continue
            with pytest.raises((UserError, ValueError, OSError)), storage.reading(alone / relative, kind) as file:
                file["weights"][()]
            continue
        raise AssertionError(f"{where}: {relative} is neither old nor new")
    for relative in before:
        assert str(folder / relative) in left or relative not in after, f"{where}: {relative} is lost"


def run_again(tiny, left, stage, folder, after):
    """The disk as it is, and one more run."""
    shutil.rmtree(folder)
    power_cut.write(left, folder, folder)
    status, output, _ = tiny.stages.run(folder, stage)
    assert status == 0, output
    end = {name: digest for name, digest in contents(folder).items() if not name.endswith((".part", ".damaged"))}
    assert end == after, output
