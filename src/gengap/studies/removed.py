"""Networks and measurements of a study that were removed by hand, and that no run makes again by itself.

What a study ends with is made from its packs. Where it is up to date, Snakemake asks for no pack, so that one whose
files are gone would not be missed.
"""

from collections.abc import Collection
from pathlib import Path

from gengap.counting import count
from gengap.studies.jobs import Plan

_NAMED = 4  # files in the command


def told(plan: Plan, study: str, to_make: Collection[Path]) -> list[str]:
    """A line that names the files of packs or points that are not there and will not be made; none if all are.

    Args:
        plan: The plan of jobs.
        study: A study or simulation.
        to_make: The files that a run would make now.
    """
    made = [Path(path) for job in plan.made_from_data(study) for path in job.outputs.values()]
    lost = [path for path in made if path not in to_make and not path.exists()]
    if not lost:
        return []
    others = f" and {count(len(lost) - 1, 'more file')}" if len(lost) > 1 else ""
    command = f"snakemake {' '.join(map(str, lost[:_NAMED]))}{' ...' if lost[_NAMED:] else ''}"
    return [
        f"  not there: {lost[0]}{others}. Figures and tables are up to date without {'them' if others else 'it'}; made "
        f"again by: {command}"
    ]
