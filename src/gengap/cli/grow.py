"""The command `gengap grow`: seeds are added to a study until its intervals are narrow enough.

The study's file says how many seeds there are, so every run of it is an ordinary one: what is trained stays, a killed
command goes on, and the same results give the same number of seeds.
"""

import argparse
import math
import subprocess
import sys
from typing import Any

from gengap import layout
from gengap.counting import count, noun
from gengap.errors import UserError, unknown_name
from gengap.evidence.intervals import grouped, interval, usable
from gengap.evidence.measurements import SEED
from gengap.files import storage
from gengap.quantities import QUANTITIES, SHARES
from gengap.results import load
from gengap.studies.growing import seeds_needed, seeds_of, with_seeds
from gengap.studies.names import REDUCED
from gengap.studies.project import load_project
from gengap.studies.study import Study, find_study


def add_parser(commands: Any) -> None:
    """Add the command to those of `gengap`."""
    text = "Run a study, and add seeds until the intervals that its `until` names are narrow enough"
    command = commands.add_parser("grow", help=text, description=text + ".")
    command.set_defaults(run=run)
    command.add_argument("study", metavar="STUDY", help="name of a study with `until`")
    command.add_argument(
        "--dry-run", action="store_true", help="only say how many seeds are needed by the present results"
    )


def run(options: argparse.Namespace) -> None:
    """Run, look and add seeds, until all intervals are narrow enough or there are as many seeds as allowed.

    Raises:
        UserError: If the study has no `until`, its seeds are no range, or a run failed.
    """
    while True:
        study = find_study(load_project(asked=[options.study]).studies, options.study)
        path = layout.study_file(study.name.removesuffix(REDUCED))
        if study.until is None:
            raise UserError(
                f"{path}: until: is missing. Say what is to be known how well: until: {{quantity: test_accuracy, "
                "half_width: 1.0, most: 20}."
            )
        text = path.read_text(encoding="utf-8")
        match, seeds = seeds_of(text, path, reduced=study.reduced)
        if not options.dry_run and subprocess.run([sys.executable, "-m", "snakemake", study.name]).returncode:
            raise UserError(f"{study.name}: the run failed; see above. The same command goes on.")
        widths = half_widths(study)
        known = [width for width in widths if not math.isnan(width)]
        wanted = seeds_needed(widths, seeds, study.until.half_width, study.until.most)
        told = f"{max(known):.3g}" if known else "not known"
        print(
            f"{study.name}: {count(seeds, 'seed')}, widest interval ± {told}, wanted ± {study.until.half_width:g}",
            flush=True,
        )
        if wanted == seeds:
            narrow = len(known) == len(widths) and max(known) <= study.until.half_width
            print(
                "All intervals are narrow enough."
                if narrow
                else f"{count(seeds, 'seed')} {noun(seeds, 'is', 'are')} as many as `until.most` allows."
            )
            return
        if options.dry_run:
            print(f"{count(wanted, 'seed')} {noun(wanted, 'comes', 'come')} next.")
            return
        storage.write_text(path, with_seeds(text, match, wanted))
        print(f"{path}: now has {count(wanted, 'seed')}", flush=True)


def half_widths(study: Study) -> list[float]:
    """Half of the width of the 95 % interval of each group's mean, in the unit that figures show.

    Raises:
        UserError: If the study is not finished, or has no such final value.
    """
    assert study.until is not None
    quantity = study.until.quantity
    results = load(layout.results(study.name))
    final = [str(name) for name in results.cells.select_dtypes("number") if name not in results.axes]
    if quantity not in final:
        raise unknown_name("final value", quantity, final, where=f"{study.name}: until.quantity")
    scale = QUANTITIES[quantity].scale if quantity in QUANTITIES else 1.0
    found = []
    for _, cells in grouped(results.cells, [axis for axis in results.axes if axis != SEED]):
        low, high = interval(usable(cells, quantity), share=quantity in SHARES).of_mean
        found.append((high - low) / 2 * scale)
    return found
