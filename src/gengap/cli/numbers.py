"""Numbers on the command line."""

import argparse
import math


def from_zero(text: str) -> float:
    """A finite number from 0: of days, hours or seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: it must be a finite number from 0")
    return value
