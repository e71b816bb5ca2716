"""How many seeds a study needs, and the line of its file that says how many it has."""

import math
import re
from collections.abc import Iterable
from pathlib import Path

from gengap.errors import UserError

_MOST_GROWTH = 2  # times as many seeds at once: the spread of few runs says little
_SEEDS = re.compile(r"^([^#\n]*(?<![\w.])seed: *)(\d+)\.\.(\d+)", re.MULTILINE)


def seeds_needed(half_widths: Iterable[float], seeds: int, until: float, most: int) -> int:
    """How many seeds to have next, so that every group's interval becomes narrow enough.

    The half-width of a mean's interval falls like one over the root of the number of runs. So n runs with half-width h
    lead to n (h / until)² runs, but at most to twice as many at once.

    Args:
        half_widths: Of every group, in the unit of `until`; NaN where a group has too few runs.
        seeds: How many there are.
        until: The half-width that is asked for.
        most: The largest number of seeds.

    Returns:
        The number; `seeds` where it is enough, or `most` is reached.
    """
    wanted = seeds
    for half in half_widths:
        if math.isnan(half):
            wanted = max(wanted, seeds + 1, 2)
        elif half > until:
            wanted = max(wanted, seeds + 1, math.ceil(seeds * (half / until) ** 2))
    return max(seeds, min(wanted, most, max(_MOST_GROWTH * seeds, 2)))


def seeds_of(text: str, path: Path, *, reduced: bool) -> tuple[re.Match[str], int]:
    """The range of seeds in a study's file, and how many it has.

    Args:
        text: The file's content.
        path: Its name, for the message.
        reduced: Whether the range below `reduced` is asked for.

    Raises:
        UserError: If there is not exactly one.
    """
    start = re.search(r"^reduced:", text, re.MULTILINE)
    border = start.start() if start else len(text)
    found = [match for match in _SEEDS.finditer(text) if (match.start() >= border) == reduced]
    if len(found) != 1:
        where = "below `reduced:`" if reduced else "in its grid"
        raise UserError(f"{path}: has {len(found)} ranges of seeds {where}, and growing needs one. Write seed: 0..4.")
    return found[0], int(found[0][3]) - int(found[0][2]) + 1


def with_seeds(text: str, match: re.Match[str], seeds: int) -> str:
    """The file's content with another number of seeds; all else stays as it is, comments too."""
    first = int(match[2])
    return f"{text[: match.start()]}{match[1]}{first}..{first + seeds - 1}{text[match.end() :]}"
