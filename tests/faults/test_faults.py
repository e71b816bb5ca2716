"""Calls that fail while a study is made: none is silent, none ends in a traceback, nothing finished is lost.

Here is a fixed sample; `make test-faults` tries every call.
"""

import errno
import math
import os
import random

import fault_injection
import pytest
from study import COMMANDS, STAGES, Fault

pytestmark = pytest.mark.thorough
# Of more than ten thousand, this many of every stage and every kind of call; other ones by other seeds.
EACH, SEED = int(os.environ.get("FAULTS", "1")), int(os.environ.get("FAULTS_SEED", "0"))
PARTS = math.ceil(EACH / 5)  # each of some minutes
# A full disk, a disk in trouble or a file system without locks stays so: there all later calls fail too.
LASTING = {"write": errno.ENOSPC, "sync": errno.EIO, "open": errno.EACCES, "lock": errno.ENOLCK}
WAYS = [(kind, number, False) for kind, numbers in fault_injection.NUMBERS.items() for number in numbers]
WAYS += [(kind, number, True) for kind, number in LASTING.items()]


def every_fault(tiny, stage, older, way):
    """Every call of a kind in a stage, each failing once, or with all that follow."""
    kind, number, onwards = way
    return [Fault(stage, older, kind, n, number, onwards) for n in range(1, tiny.counts[stage, older][kind] + 1)]


def undergo(tiny, chosen):
    failed = []
    for fault in chosen:
        try:
            tiny.undergo(fault)
        except AssertionError as error:
            failed.append(str(error))
    assert not failed, f"{len(failed)} of {len(chosen)} faults\n" + "\n".join(failed[:10])


def sample(tiny):
    """Of every stage and every kind of call as many, where it makes such calls."""
    chance = random.Random(SEED)
    groups = {}
    for stage, older in tiny.counts:
        for way in WAYS:
            groups.setdefault((stage, way[0]), []).extend(every_fault(tiny, stage, older, way))
    return [fault for group in groups.values() for fault in chance.sample(group, min(EACH, len(group)))]


@pytest.mark.parametrize("part", range(PARTS))
def test_a_call_that_fails_is_told_and_loses_nothing(tiny, part):
    undergo(tiny, sample(tiny)[part::PARTS])


@pytest.mark.faults
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way[0]}-{way[1]}{'+' * way[2]}")
@pytest.mark.parametrize("older", [False, True], ids=["afresh", "over older results"])
@pytest.mark.parametrize("stage", [*STAGES, *COMMANDS])
def test_every_call(tiny, stage, older, way):
    undergo(tiny, every_fault(tiny, stage, older, way))
