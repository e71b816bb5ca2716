"""The benchmark of probes at toy size: its rows have the common form."""

import pytest

pytest.importorskip("pyhessian")

from bench import probes


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["hessian_spectrum", "hessian_extremes", "hessian_operators"])
def test_rows(name):
    """The extremes check themselves against the whole spectrum, the operators their errors."""
    if name == "hessian_operators":
        pytest.importorskip("curvlinops", reason="a peer of the benchmarks alone: pip install -e .[bench]")
    found = probes.main(toy=True, repeats=1, only=name)
    assert found
    assert all(row.case.startswith(f"probe/{name},") and row.ratio > 0 for row in found)
