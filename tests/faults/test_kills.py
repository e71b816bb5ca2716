"""Jobs that are killed at any moment: what is finished stays, and the next run ends with the same bits.

A moment is the number of a call that changes a file, since between two of them nothing changes; a write is half done.
"""

import os
import random

import fault_injection
import pytest
from study import STAGES, Fault

pytestmark = pytest.mark.thorough
KILLS = int(os.environ.get("KILLS", "20"))  # `make test-kills`: more
SEED = 0


def moments(tiny):
    """Random moments, of each stage as many as it has calls, but of each stage some."""
    chance = random.Random(SEED)
    for number in range(KILLS):
        stage = STAGES[number % len(STAGES)] if number % 2 else "train"
        older = chance.random() < 0.5
        yield Fault(
            stage, older, "change", chance.randint(1, tiny.counts[stage, older]["change"]), fault_injection.KILL
        )


def test_killed_at_any_moment_it_ends_with_the_same_bits(tiny):
    for moment in moments(tiny):
        tiny.undergo(moment)
