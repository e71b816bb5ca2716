"""Control measures, judged beside the others: a statistic that is high for them says little about the others."""

import numpy as np

from gengap.scoreboard.population import Floats, Population

RANDOM, PARAMETERS, DESIGN, ORACLE = "random", "parameter count", "design only", "noisy oracle"
MEANING = {
    RANDOM: "standard normal numbers",
    PARAMETERS: "the number of parameters",
    DESIGN: "the gap that the design predicts for configurations that were not fitted",
    ORACLE: "the gap itself and as much noise as networks of one configuration differ by",
}


def controls(population: Population, prediction: Floats, parameters: Floats | None, seed: int = 0) -> dict[str, Floats]:
    """The controls' values for every network.

    Args:
        population: The networks.
        prediction: Of the gap by the design, out of fold; see `increment.increment`.
        parameters: Number of parameters, if it is known.
        seed: Of the random numbers.
    """
    generator = np.random.default_rng([seed, 2])
    gap = population.values(population.gap)
    means = np.add.reduceat(gap, population.starts) / population.sizes
    within = gap - means[population.config]
    freedom = len(gap) - len(means)
    # The median is not carried away by one network with a huge gap. 1.4826 makes it the deviation of a normal.
    spread = 1.4826 * float(np.median(np.abs(within))) * np.sqrt(len(gap) / freedom) if freedom else float(gap.std())
    made = {RANDOM: generator.normal(size=len(gap))}
    if parameters is not None:
        made[PARAMETERS] = parameters
    made[DESIGN] = prediction
    made[ORACLE] = gap + (spread or float(gap.std())) * generator.normal(size=len(gap))
    return made
