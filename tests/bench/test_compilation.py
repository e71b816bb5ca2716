"""The benchmark of compiling, at toy size."""

import pytest

from bench import compilation


@pytest.mark.parametrize("width", compilation.WIDTHS)
def test_the_shortest_job_that_is_compiled(width):
    epochs = compilation.shortest(width)
    assert compilation.compiles(width, epochs)
    assert not compilation.compiles(width, epochs - 1)


@pytest.mark.thorough
def test_a_job_runs_in_a_process_of_its_own(tmp_path):
    assert compilation.seconds(4, 1, "off", tmp_path) > 0
