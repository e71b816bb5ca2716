"""The section `scoreboard` of a study: which measures are judged as explanations of the gap, and what is expected."""

import fnmatch
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gengap import registry
from gengap.errors import UserError, unknown_name
from gengap.quantities import SHARES
from gengap.studies.schema import Count, Names, Settings

# Words of `gengap.scoreboard.verdicts`, which needs SciPy; a test holds the two together.
VerdictWord = Literal[
    "explains", "equal design only", "contradicts", "inconsistent", "proxy", "no evidence", "undecided"
]
SEED = "seed"
GAP = "generalization_gap"
# Names of statistics of `gengap.scoreboard.board`, held together by the same test: over all axes, and along one.
ALONG = ("granulated_psi", "sign_error_mean")
STATISTICS = (
    "equal_design_correlation",
    "granulated_psi",
    "kendall_tau",
    "least_conditional_mutual_information",
    "sign_error_mean",
    "sign_error_90th_percentile",
    "increment_over_design",
    "pgdl_score",
)
SCOREBOARDS = frozenset({"scoreboard", "scoreboard_equal_loss"})  # figures and tables of it
FEWEST = 8  # configurations: below, an interval by resampling them says nothing


class Scoreboard(Settings):
    """What the scoreboard of a study judges."""

    measures: Names = Field(
        ("*",),
        description="Quantities of the study's probes that are judged, or patterns such as `norm_*`; by default all "
        "that are measured on the whole network without the test set.",
    )
    gap: str = Field(GAP, description="The quantity that they should explain.")
    axes: Names | None = Field(None, description="Axes of the grid that make up the design; null: all but the seed.")
    decreasing: Names = Field((), description="Measures of which less should mean a larger gap, such as margins.")
    equal: Names = Field((), description="Quantities that are held equal as well, such as train_loss.")
    at_least: dict[str, float] = Field(
        {}, description="Smallest values of quantities; networks below are left out, e.g. {train_accuracy: 0.99}."
    )
    least_sample: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        12.0, description="Smallest effective number of pairs of networks in an environment of the sign error."
    )
    resamples: Annotated[int, Field(ge=50, le=1_000_000)] = Field(
        1000, description="Resamples of configurations for the intervals."
    )
    test_size: Count | None = Field(
        None, description="Number of test samples of every gap, to filter its noise in the sign error; null: no filter."
    )
    expected: dict[str, VerdictWord] = Field(
        {}, description="Verdicts expected before the study ran, by measure: its preregistration, quoted in the report."
    )
    expected_best: dict[str, Names] = Field(
        {},
        description="Measures expected to be the best by a statistic, stated before the study ran; the table says the "
        "place of each. A statistic over all axes, such as equal_design_correlation, or along one: "
        "granulated_psi[width], sign_error_mean[width].",
    )


def check_scoreboard(
    board: Scoreboard, axes: Collection[str], configurations: int, probes: Iterable[str], path: Path
) -> None:
    """Check a study's section `scoreboard`: its names, and that the grid is large enough.

    Args:
        board: The section.
        axes: Short names of the study's axes.
        configurations: Combinations of the axes' values in the grid, the seed left out.
        probes: Names of its probes.
        path: Its file, for messages.

    Raises:
        UserError: If an axis, a quantity or an expectation has no such name in this study, or the grid has too few
            configurations for any verdict.
    """
    where = f"{path}: scoreboard"
    design = [axis for axis in axes if axis != SEED]
    if not design:
        raise UserError(f"{where}: the grid varies nothing but the seed, so there is no design. Add an axis to `grid`.")
    if configurations < FEWEST:
        raise UserError(
            f"{where}: the grid has {configurations} configurations, and at least {FEWEST} are needed. "
            "Add values to its axes, or remove the section."
        )
    for axis in board.axes or ():
        if axis not in design:
            raise unknown_name("axis", axis, design, where=f"{where}.axes")
    known = known_quantities(probes)
    best = [name for expected in board.expected_best.values() for name in expected]
    for key, names in (
        ("gap", [board.gap]),
        ("measures", board.measures),
        ("equal", board.equal),
        ("decreasing", board.decreasing),
        ("at_least", board.at_least),
        ("expected", board.expected),
        ("expected_best", best),
    ):
        for name in names:
            if not (fnmatch.filter(known, name) if key == "measures" else name in known):
                raise unknown_name("quantity of this study's probes", name, known, where=f"{where}.{key}")
    _check_roles(board, where)
    for statistic in board.expected_best:
        known_statistics = [*STATISTICS, *(f"{name}[{axis}]" for name in ALONG for axis in board.axes or design)]
        if statistic not in known_statistics:
            raise unknown_name("statistic", statistic, known_statistics, where=f"{where}.expected_best")
    for key, names in (("decreasing", board.decreasing), ("expected", [*board.expected]), ("expected_best", best)):
        for name in names:
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in board.measures):
                raise UserError(f"{where}.{key}: '{name}' is not among the measures. Add it to scoreboard.measures.")


def _check_roles(board: Scoreboard, where: str) -> None:
    """Refuse lists without a name, a quantity with two roles, and a limit that no share reaches."""
    for key, listed in (("measures", board.measures), ("axes", board.axes)):
        if listed == ():
            raise UserError(f"{where}.{key}: is empty. Name at least one, or leave it out.")
        if repeated := next((name for name in listed or () if (listed or ()).count(name) > 1), ""):
            raise UserError(f"{where}.{key}: '{repeated}' appears twice. Remove one.")
    for name in (board.gap, *board.equal):
        if name in board.measures or (name == board.gap and name in board.equal):
            raise UserError(f"{where}: '{name}' has two roles, and would explain itself. Name it once.")
    for name, least in board.at_least.items():
        if name in SHARES and not 0 <= least <= 1:
            raise UserError(f"{where}.at_least: {name}: {least:g} is not allowed: it is a share from 0 to 1.")


def known_quantities(probes: Iterable[str]) -> list[str]:
    """The quantities that these probes measure, and what is derived from them."""
    measured = [name for probe in probes for name in registry.check("probe", probe).measured]
    derived = ("generalization_gap", "train_error", "test_error", "l2_penalty", "train_objective", "test_objective")
    return list(dict.fromkeys([*measured, *(derived if "train_accuracy" in measured else ())]))
