"""Populations whose truth is known: what a scoreboard must and must not find in them.

All share a design of 180 configurations, `width` x `lr` x `batch_size` x `train_size`, with 5 seeds each (in
`two_seeds`, 2). The gap of a network is ``d + e``: ``d`` depends on the design (a random curve along every axis, a
random table for every two axes, a random number for every configuration), ``e`` differs between networks. Effects are
redrawn for every population, so no rule can be fitted to one of them. Five of a hundred networks failed: dead ones
have no gap and a huge measure, diverged ones no number at all.

`EFFECT` is the correlation between a measure with a signal and ``e``: the effect for which the power is stated.
"""

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtrit

from gengap.scoreboard.population import Floats, Population, population
from gengap.scoreboard.verdicts import CLAIMS, EXPLAINS, INCONSISTENT, NO_EVIDENCE, PROXY, UNDECIDED

GRID = {"width": 5, "lr": 4, "batch_size": 3, "train_size": 3}
SEEDS = 5
MEASURES = 5
EFFECT = 0.3
HEAVY = 1.5  # degrees of freedom: no variance
NAMES = tuple(f"measure_{number}" for number in range(1, MEASURES + 1))
_DEAD, _DIVERGED = 0.03, 0.02


def null(generator: np.random.Generator) -> Population:
    """Measures that have to do with nothing."""
    design = _Design(generator)
    measures = [generator.normal(size=design.n) for _ in NAMES]
    return design.population(design.effect() + design.noise(), measures)


def proxy(generator: np.random.Generator) -> Population:
    """Measures that are a curved function of the gap's own dependence on the design, and noise."""
    design = _Design(generator)
    effect = design.effect()
    measures = [np.exp(generator.uniform(0.2, 1) * effect) + 0.3 * design.noise() for _ in NAMES]
    return design.population(effect + design.noise(), measures)


def signal(generator: np.random.Generator) -> Population:
    """Measures that follow the gap along the design and correlate with its rest, by `EFFECT`."""
    design = _Design(generator)
    effect, rest = design.effect(), design.noise()
    measures = [np.exp(0.5 * (effect + design.correlated(rest))) for _ in NAMES]
    return design.population(effect + rest, measures)


def confounded(generator: np.random.Generator) -> Population:
    """Measures and gap both follow the recorded training loss, which differs between seeds, and nothing else.

    Judged at equal training loss.
    """
    design = _Design(generator)
    loss = 0.5 * design.effect() + design.noise()
    gap = design.effect() + np.tanh(loss) + design.noise()
    measures = [loss + 0.2 * loss**2 + design.effect() + design.noise() for _ in NAMES]
    return design.population(gap, measures, loss=loss)


def sign_flip(generator: np.random.Generator) -> Population:
    """Measures that correlate with the gap's rest by 0.4 at some widths and by -0.4 at the others."""
    design = _Design(generator)
    effect, rest = design.effect(), design.noise()
    measures = []
    for _ in NAMES:
        flipped = generator.permutation(GRID["width"])[: generator.integers(1, 3)]
        sign = np.where(np.isin(design.level("width"), flipped), -1.0, 1.0)
        measures.append(effect + sign * design.correlated(rest, 0.4))
    return design.population(effect + rest, measures)


def heavy_noise(generator: np.random.Generator) -> Population:
    """Proxies where gap and measures have noise without a variance, of another size in every configuration."""
    design = _Design(generator)
    effect = design.effect()
    gap = effect + design.heavy(design.noise())
    return design.population(gap, [effect + design.heavy(design.noise()) for _ in NAMES])


def heavy_signal(generator: np.random.Generator) -> Population:
    """The signal of `signal` under the noise of `heavy_noise`."""
    design = _Design(generator)
    effect, rest = design.effect(), design.noise()
    measures = [effect + design.heavy(design.correlated(rest)) for _ in NAMES]
    return design.population(effect + design.heavy(rest), measures)


def shared_seeds(generator: np.random.Generator) -> Population:
    """Proxies where a seed has its own effect on the gap and on the measures in all configurations alike."""
    design = _Design(generator)
    effect = design.effect()
    gap = effect + design.seed_effect() + design.noise()
    return design.population(gap, [effect + design.seed_effect() + design.noise() for _ in NAMES])


def two_seeds(generator: np.random.Generator) -> Population:
    """Proxies with two networks per configuration, whose order is all that a configuration can say."""
    design = _Design(generator, seeds=2)
    effect = design.effect()
    return design.population(effect + design.noise(), [effect + design.noise() for _ in NAMES])


POPULATIONS: dict[str, Callable[[np.random.Generator], Population]] = {
    made.__name__: made
    for made in (null, proxy, confounded, sign_flip, heavy_noise, shared_seeds, two_seeds, signal, heavy_signal)
}
POWERED = ("signal", "heavy_signal")
ALLOWED = {
    "null": (NO_EVIDENCE, UNDECIDED),
    "proxy": (PROXY, UNDECIDED, NO_EVIDENCE),
    "confounded": (PROXY, UNDECIDED, NO_EVIDENCE),
    "sign_flip": (INCONSISTENT, UNDECIDED, PROXY, NO_EVIDENCE),
    "heavy_noise": (PROXY, UNDECIDED, NO_EVIDENCE),
    "shared_seeds": (PROXY, UNDECIDED, NO_EVIDENCE),
    "two_seeds": (PROXY, UNDECIDED, NO_EVIDENCE),
    "signal": (EXPLAINS,),
    "heavy_signal": (EXPLAINS,),
}
assert all(not set(ALLOWED[name]) & set(CLAIMS) for name in ALLOWED if name not in POWERED)


EXAMPLE_OPTIONS = (
    "--gap gap --axis width lr batch_size --measure sharpness path_norm margin weight_norm gradient_noise "
    "--seed seed --status status --parameters parameters --decreasing margin"
)


def example() -> pd.DataFrame:
    """A table as a user may have it: three axes, five seeds, five measures of known truth, and networks that failed.

    ``sharpness`` and ``margin`` have a signal (less margin means a larger gap), ``path_norm`` is a proxy of the design,
    ``weight_norm`` is noise, and ``gradient_noise`` has a signal whose sign depends on the width.
    """
    generator = np.random.default_rng(7)
    design = _Design(generator, {"width": 5, "lr": 4, "batch_size": 3})
    effect, rest = design.effect(), design.noise()
    level = design.level("width")
    measures = {
        "sharpness": np.exp(0.5 * (effect + design.correlated(rest, 0.6))),
        "path_norm": np.exp(0.8 * effect),
        "margin": -0.7 * effect - design.correlated(rest, 0.45),
        "weight_norm": 10 + design.noise(),
        "gradient_noise": effect + np.where(level < 2, -1, 1) * design.correlated(rest, 0.6),
    }
    values = {"width": (4, 8, 16, 32, 64), "lr": (0.01, 0.03, 0.1, 0.3), "batch_size": (32, 128, 512)}
    table = pd.DataFrame({axis: np.array(steps)[design.level(axis)] for axis, steps in values.items()})
    table["seed"] = design.level("seed")
    table["parameters"] = 9 * table["width"] ** 2 + 30 * table["width"]
    table["gap"] = 0.2 + 0.05 * (effect + rest)
    table = table.assign(**measures, status="finished")
    failed = generator.uniform(size=len(table))
    dead, diverged = failed < _DEAD, failed > 1 - _DIVERGED
    table.loc[dead, "gap"], table.loc[diverged, "gap"] = 0.0, np.nan
    table.loc[dead, "status"], table.loc[diverged, "status"] = "dead", "diverged"
    return table


class _Design:
    """The grid, and random effects on it."""

    def __init__(self, generator: np.random.Generator, grid: Mapping[str, int] = GRID, seeds: int = SEEDS) -> None:
        self._generator, self._grid, self._seeds = generator, grid, seeds
        shape = (*grid.values(), seeds)
        self._index = np.stack(np.unravel_index(np.arange(int(np.prod(shape))), shape), axis=1)
        self._config = np.arange(len(self._index)) // seeds
        self.n = len(self._index)

    def level(self, axis: str) -> np.ndarray:
        """Number of every network's value on an axis."""
        return self._index[:, [*self._grid, "seed"].index(axis)]

    def effect(self) -> Floats:
        """A random dependence on the design, of variance 1: half along axes, the rest in pairs and configurations."""
        total = np.zeros(self.n)
        levels = list(self._grid.values())
        for axis, count in enumerate(levels):
            steps = np.abs(self._generator.normal(size=count))
            total += self._unit(np.cumsum(steps)[self._index[:, axis]]) * self._generator.choice([-1, 1])
        for first, other in combinations(range(len(levels)), 2):
            table = self._generator.normal(size=(max(levels), max(levels)))
            total += 0.5 * table[self._index[:, first], self._index[:, other]]
        total += 0.5 * self._generator.normal(size=self._config[-1] + 1)[self._config]
        return self._unit(total)

    def noise(self) -> Floats:
        """A standard normal number for every network."""
        return self._generator.normal(size=self.n)

    def correlated(self, rest: Floats, correlation: float = EFFECT) -> Floats:
        """Standard normal, with this correlation with `rest`."""
        made: Floats = correlation * rest + np.sqrt(1 - correlation**2) * self.noise()
        return made

    def heavy(self, normal: Floats) -> Floats:
        """The same order, Student's t in distribution, and a scale for every configuration."""
        scale = np.exp(self._generator.normal(size=self._config[-1] + 1))[self._config]
        made: Floats = scale * stdtrit(HEAVY, np.clip(ndtr(normal), 1e-12, 1 - 1e-12))
        return made

    def seed_effect(self) -> Floats:
        """A number for every seed, the same in all configurations."""
        return self._generator.normal(size=self._seeds)[self._index[:, -1]]

    def population(self, gap: Floats, measures: list[Floats], loss: Floats | None = None) -> Population:
        """The table, with networks that failed, as a user's would be, and what is left of it."""
        table = pd.DataFrame({axis: self.level(axis) for axis in GRID} | {"seed": self._index[:, -1], "gap": gap})
        table = table.assign(**dict(zip(NAMES, measures, strict=True)), status="finished")
        if loss is not None:
            table["train_loss"] = loss
        failed = self._generator.uniform(size=self.n)
        dead, diverged = failed < _DEAD, failed > 1 - _DIVERGED
        table.loc[dead, "gap"], table.loc[diverged, "gap"] = 0.0, np.nan
        table.loc[dead, list(NAMES)], table.loc[diverged, list(NAMES)] = 1e6, np.inf
        table.loc[dead, "status"] = "dead"
        equal = ["train_loss"] if loss is not None else []
        return population(table, gap="gap", axes=list(GRID), measures=NAMES, seed="seed", status="status", equal=equal)

    def _unit(self, values: Floats) -> Floats:
        unit: Floats = (values - values.mean()) / values.std()
        return unit
