"""Small populations of networks for the tests of the scoreboard."""

import numpy as np
import pandas as pd

from gengap.scoreboard.population import Population, population


def grid(seed=0, *, axes=(3, 3, 2), seeds=3, ties=False, **options) -> Population:
    """A full grid with random numbers: ``gap`` and measures ``m`` and ``k``."""
    generator = np.random.default_rng(seed)
    index = np.stack(np.unravel_index(np.arange(int(np.prod([*axes, seeds]))), [*axes, seeds]), axis=1)
    table = pd.DataFrame(index, columns=[*"abcdefg"[: len(axes)], "seed"])
    numbers = generator.normal(size=(len(table), 3))
    numbers[:, 1] += 0.7 * numbers[:, 0]
    if ties:
        numbers = np.round(2 * numbers)
    table[["gap", "m", "k"]] = numbers
    return made(table, axes=list("abcdefg"[: len(axes)]), **options)


def made(table, *, axes, measures=("m", "k"), **options) -> Population:
    """What `population` makes of a table with ``gap`` and column ``seed``."""
    seed = "seed" if "seed" in table else ""
    return population(table, gap="gap", axes=axes, measures=measures, seed=seed, **options)


def drawn(found: Population, weights) -> pd.DataFrame:
    """The networks of a resample as rows of their own; ``copy`` tells copies of one configuration apart."""
    parts = []
    for config, times in enumerate(weights):
        rows = found.table[found.config == config]
        parts += [rows.assign(config=config, copy=f"{config}.{copy}") for copy in range(int(times))]
    return pd.concat(parts, ignore_index=True)
