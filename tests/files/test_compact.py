"""Arrays of exports keep five digits, or all of them where float32 does not reach."""

import h5py
import numpy as np
import pandas as pd
import pytest

from gengap.files import compact
from gengap.files.arrays import Array


def array(values):
    rows = pd.DataFrame({"cell": [f"seed={seed}" for seed in range(len(values))], "epoch": 0.0})
    return Array("singular_values", "conv1", ("singular_value",), "exact", "near_rank", rows, values)


def written_and_read(values, tmp_path):
    with h5py.File(tmp_path / "export.h5", "w") as file:
        compact.write_arrays(file, [("near_rank", array(values))])
        ((label, found),) = compact.read_arrays(file)
        assert label == "near_rank"
        return found.values, file["arrays/00000/values"].dtype


def test_numbers_keep_five_digits(tmp_path):
    values = np.random.default_rng(0).lognormal(0, 5, (4, 50))
    values[0, :3] = [0, np.nan, -1e-7]
    found, stored = written_and_read(values, tmp_path)
    assert stored == np.float32
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, values, rtol=4e-6)


@pytest.mark.parametrize("extreme", [1e-50, 1e-44, 3e200])
def test_numbers_that_float32_does_not_hold_keep_all_digits(extreme, tmp_path):
    values = np.array([[1 / 3, extreme]])
    found, _ = written_and_read(values, tmp_path)
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("values", [np.arange(6).reshape(2, 3) + 2**40, np.ones((2, 3), np.float16)])
def test_other_types_are_not_touched(values, tmp_path):
    found, stored = written_and_read(values, tmp_path)
    assert stored == values.dtype
    np.testing.assert_array_equal(found, values)
