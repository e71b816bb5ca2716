"""Calls that fail while a study is made: none is silent, none ends in a traceback, nothing finished is lost.

`make test-faults` tries every call; without FAULTS=all it is a fixed sample.
"""

import os
import random

from study import Fault

import faults

SAMPLE = 200  # of more than ten thousand
SEED = 0


def every_fault(tiny):
    """Every call of every kind in every stage, with all that it may fail with; a full disk also for good."""
    for (stage, older), counts in tiny.counts.items():
        for kind, numbers in faults.NUMBERS.items():
            for n in range(1, counts[kind] + 1):
                for number in numbers:
                    yield Fault(stage, older, kind, n, number)
                    if number == numbers[0] and kind in ("write", "sync", "open", "lock"):
                        yield Fault(stage, older, kind, n, number, onwards=True)


def chosen(every):
    """All faults, or a sample in which every stage and every kind of call has its share."""
    if os.environ.get("FAULTS") == "all":
        return every
    groups = {}
    for fault in random.Random(SEED).sample(every, len(every)):
        groups.setdefault((fault.stage, fault.kind), []).append(fault)
    taken = []
    while len(taken) < SAMPLE:
        taken += [group.pop() for group in groups.values() if group]
    return taken[:SAMPLE]


def test_a_call_that_fails_is_told_and_loses_nothing(tiny):
    every = list(every_fault(tiny))
    assert len(every) > 50 * SAMPLE
    failed = []
    for fault in chosen(every):
        try:
            tiny.undergo(fault)
        except AssertionError as error:
            failed.append(str(error))
    assert not failed, f"{len(failed)} faults\n" + "\n".join(failed[:10])
