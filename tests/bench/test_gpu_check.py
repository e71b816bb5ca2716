"""The checks of a GPU at toy size, on any machine."""

import pytest

from bench import gpu_check


@pytest.fixture(scope="module")
def found():
    return gpu_check.main(toy=True, widths=(2,))


def test_steps_are_right_and_repeat(found):
    checks = [row for row in found if "check" in row]
    assert [row["check"] for row in checks] == [f"width=2,batch_size=16,pack={pack},step=stacked" for pack in (1, 3)]
    for row in checks:
        assert 0 < row["largest_relative_error"] < 1e-3  # of float32, which differs between processors
        assert row["same_bits_as_in_smallest_pack"]
        assert row["same_bits_again"]


def test_every_form_of_tile_is_timed_and_one_is_chosen(found):
    by_case = {}
    for row in (row for row in found if "tiles" in row):
        by_case.setdefault(row["tiles"], []).append(row)
    assert len(by_case) == 4
    for timed in by_case.values():
        assert {row["form"] for row in timed} == set(gpu_check.FORMS)
        assert sum(row["chosen"] for row in timed) == 1
        assert all(row["milliseconds"] > 0 for row in timed)
