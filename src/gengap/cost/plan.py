"""The command `gengap plan`."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from gengap import layout
from gengap.cost import text
from gengap.cost.estimate import Estimator, Planned, predictions
from gengap.cost.schedule import wall_seconds
from gengap.counting import count
from gengap.files import timings
from gengap.studies import imports, removed
from gengap.studies.config import Config
from gengap.studies.jobs import Plan
from gengap.studies.reading import read_yaml
from gengap.studies.simulation import Simulation
from gengap.studies.study import Study
from gengap.studies.validation import validate


def plan(
    chosen: Sequence[Study | Simulation],
    known: Mapping[str, Study | Simulation],
    cores: int,
    outputs: Callable[[], Collection[Path]],
) -> Iterator[str]:
    """Say which jobs are to run, what is left to do in each, and how long that will take; keep what is predicted.

    Args:
        chosen: Studies and simulations.
        known: All of them, by name.
        cores: Cores that the workflow may use.
        outputs: Gives the files that Snakemake would make.

    Yields:
        Lines of text.

    Raises:
        UserError: If Snakemake cannot plan them.
    """
    estimator = estimate(known, cores, outputs)
    together: list[Planned] = []
    for one in chosen:
        planned, total = estimator.planned(one.name), estimator.total(one.name)
        size = f"{count(len(one.cells), 'cell')}" if isinstance(one, Study) else f"{count(one.n_draws, 'draw')}"
        if n_imported := len(estimator.plan.imported[one.name]):
            size += f", {n_imported:,} of {'its cells' if isinstance(one, Study) else 'its points'} imported"
        lost = removed.told(estimator.plan, one.name, estimator.due)
        done = "no job is to run" if lost else f"all {total} jobs are done"
        yield f"{one.name}: {size}; " + (f"{len(planned)} of {total} jobs are to run" if planned else done)
        yield from lost
        for told in imports.unused(estimator.plan.imports, one) if isinstance(one, Study) else ():
            yield f"  {told}"
        wall = wall_seconds(planned, cores)
        yield from text.describe(planned, wall, cores)
        if found := timings.compare(timings.read(layout.PREDICTIONS), estimator.known, one.name):
            yield text.compared(found)
        if planned:
            timings.append(layout.PREDICTIONS, predictions(one.name, planned, wall))
        together += planned
    if len(chosen) > 1:
        yield text.summed(together, wall_seconds(together, cores), cores)


def estimate(known: Mapping[str, Study | Simulation], cores: int, outputs: Callable[[], Collection[Path]]) -> Estimator:
    """What predicts the jobs of these studies that Snakemake says are to run; arguments as of `plan`."""
    studies = {name: one for name, one in known.items() if isinstance(one, Study)}
    simulations = {name: one for name, one in known.items() if isinstance(one, Simulation)}
    config = validate(Config, read_yaml(layout.CONFIG), f"{layout.CONFIG}: ")
    return Estimator(
        Plan(studies, simulations, imports.read()),
        outputs(),
        timings.read(layout.TIMINGS),
        cores,
        Path(config.store),
    )
