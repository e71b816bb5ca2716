"""Points sampled from ranges, beside full grids: a Sobol sequence or independent random points.

The first n points are the same however many are asked for, so that a larger number only adds points: what is trained
stays. They depend on the method, its seed and the ranges, and on nothing else.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from gengap.errors import UserError
from gengap.studies.axes import axis_key
from gengap.studies.schema import MOST_VALUES, Settings
from gengap.studies.validation import validate

SAMPLE = "sample"
DIGITS = 4  # of a sampled number, which names cells


class Sample(Settings):
    """Points drawn from the grid's ranges."""

    method: Literal["sobol", "random"] = Field(
        "sobol",
        description="sobol fills the ranges evenly, best with a power of two points; random draws independently.",
    )
    points: int = Field(ge=1, le=MOST_VALUES, description="How many points.")
    seed: int = Field(0, ge=0, description="Seed of the points; no seed of networks.")


class Range(Settings):
    """The range of an axis from which `sample` draws."""

    low: int | float = Field(description="Smallest value.")
    high: int | float = Field(description="Largest value; between two whole numbers, all values are whole.")
    scale: Literal["linear", "log"] = Field("linear", description="On which scale values are spread evenly.")

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high or not math.isfinite(self.high - self.low):
            raise ValueError(f"low must be less than high, got {self.low} and {self.high}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"a logarithmic range has positive ends, got {self.low}")
        return self

    def at(self, share: float) -> int | float:
        """The value at a share from 0 to 1 of the range."""
        if self.scale == "log":
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return round(value)
        return float(f"{value:.{DIGITS}g}")


def sampled(grid: Any, path: Path) -> Iterator[Any]:
    """Write a grid with `sample` out as one grid per point; any other stays as it is.

    Args:
        grid: Axes with lists of values, and under `sample` axes with ranges.
        path: The study's file, for messages.

    Yields:
        Grids of lists; points that round to the same values are one.

    Raises:
        UserError: If `sample` is wrong, there is no range, or a range is wrong.
    """
    if not isinstance(grid, Mapping) or SAMPLE not in grid:
        yield grid
        return
    where = f"{path}: grid.{SAMPLE}: "
    sample = validate(Sample, grid[SAMPLE], where)
    ranges = {
        str(key): validate(Range, values, f"{path}: grid.{key}: ")
        for key, values in grid.items()
        if key != SAMPLE and isinstance(values, Mapping) and axis_key(str(key)) != "arm"
    }
    if not ranges:
        raise UserError(f"{where}has no range to sample. Give an axis one: optimizer.lr: {{low: 0.001, high: 1.0}}.")
    listed = {key: values for key, values in grid.items() if key != SAMPLE and str(key) not in ranges}
    seen = set()
    for shares in _shares(sample, len(ranges)):
        point = {key: one.at(share) for (key, one), share in zip(ranges.items(), shares, strict=True)}
        if (values := tuple(point.values())) not in seen:
            seen.add(values)
            # Axes keep their order, by which cells are named.
            yield {key: [point[str(key)]] if str(key) in ranges else listed[key] for key in grid if key != SAMPLE}


def written_out(grid: Any, path: Path) -> Any:
    """A study's grid or list of grids, with those that sample points written out; see `sampled`."""
    grids = grid if isinstance(grid, list) else [grid]
    if not any(isinstance(one, Mapping) and SAMPLE in one for one in grids):
        return grid
    return [part for one in grids for part in sampled(one, path)]


def _shares(sample: Sample, dimensions: int) -> list[list[float]]:
    """Points in the unit cube, ``[points][dimensions]``."""
    if sample.method == "random":
        drawn = np.random.default_rng(sample.seed).random((sample.points, dimensions))
        return [[float(share) for share in point] for point in drawn]
    from scipy.stats import qmc  # takes a while, and the Snakefile is read for every job

    if dimensions > qmc.Sobol.MAXDIM:
        raise UserError(f"sample: a Sobol sequence has at most {qmc.Sobol.MAXDIM} axes. Choose method: random.")
    sequence = qmc.Sobol(dimensions, scramble=True, rng=sample.seed)
    whole = sequence.random_base2(max(1, math.ceil(math.log2(sample.points))))  # of a power of two, no warning
    return [[float(share) for share in point] for point in whole[: sample.points]]
