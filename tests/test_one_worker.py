"""With several workers, one runs all tests of a file, in their order: what a file shares is made once."""

import pytest

RUN: list[int] = []


@pytest.mark.parametrize("number", range(6))
def test_all_tests_of_a_file_run_in_one_process(number):
    RUN.append(number)
    assert [*range(number + 1)] == RUN
