"""What the statistics of a measure amount to, by one rule that was fixed on simulated populations of known truth."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from gengap.scoreboard.equal_design import EqualDesign
from gengap.scoreboard.population import Floats
from gengap.scoreboard.resampling import deviation, interval

ALPHA = 0.02  # of every family of tests; three families (equal design, along the design, levels) decide together
SMALL = 0.15  # correlation at equal design: what lies surely below adds too little to the design to matter
EXPLAINS, EQUAL_ONLY, CONTRADICTS = "explains", "equal design only", "contradicts"
INCONSISTENT, PROXY, NO_EVIDENCE, UNDECIDED = "inconsistent", "proxy", "no evidence", "undecided"
MEANING = {
    EXPLAINS: "moves with the gap along the design and at equal design, at every level of every axis",
    EQUAL_ONLY: "moves with the gap at equal design, but not along the design",
    CONTRADICTS: "moves against the gap at equal design",
    INCONSISTENT: "moves with the gap at some levels of an axis and against it at others",
    PROXY: "moves with or against the gap only along the design: it stands for the design",
    NO_EVIDENCE: "moves with the gap neither along the design nor at equal design",
    UNDECIDED: "there are too few networks to tell",
}
CLAIMS = (EXPLAINS, EQUAL_ONLY, CONTRADICTS)  # verdicts that see more in a measure than the design


@dataclass(frozen=True)
class Verdict:
    """One measure's.

    Attributes:
        word: One of `MEANING`.
        why: A sentence with the numbers that decided.
        p: p value at equal design, adjusted for the number of measures.
    """

    word: str
    why: str
    p: float


def holm(p: Floats) -> Floats:
    """Adjusted p values that bound the chance of a single false claim among all measures.

    A scoreboard names winners, and one false winner spoils it: so the family-wise error is held, not the share of false
    claims. Holm's procedure holds it under any dependence between the measures.

    Source: Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def judge(equal: EqualDesign, psi: Floats) -> list[Verdict]:
    """Decide for every measure.

    Args:
        equal: Correlations at equal design.
        psi: Mean granulated psi, ``[1 + resamples, measures]``.
    """
    r, low, high = interval(equal.r)
    p, along, along_p = holm(equal.p), psi[0], holm(_along_p(psi))
    verdicts = []
    for measure in range(len(r)):
        levels = equal.by_level[equal.by_level["measure"] == measure]
        known = levels[levels["n"] > 1]
        level_p = holm(known["p"].to_numpy())
        level_r = np.nan_to_num(known["r"].to_numpy())
        numbers = f"r = {r[measure]:.2f} [{low[measure]:.2f}, {high[measure]:.2f}] at equal design"
        numbers += f" (p = {p[measure]:.2g}), psi = {along[measure]:.2f} along the design"
        clear, tracks = p[measure] < ALPHA, along_p[measure] < ALPHA
        up = bool(((level_p < ALPHA) & (level_r > 0)).any())
        down = bool(((level_p < ALPHA) & (level_r < 0)).any())
        word = UNDECIDED
        if equal.configurations < 2:
            numbers = (
                f"one network per configuration: a proxy of the design cannot be told apart; psi = {along[measure]:.2f}"
            )
        elif up and down:
            word = INCONSISTENT
        elif clear and r[measure] < 0:
            word = CONTRADICTS
        elif clear and (level_r < 0).any():
            worst = known.iloc[int(np.argmin(level_r))]
            numbers += f"; r = {worst['r']:.2f} where {worst['axis']} is {worst['level']}, not surely below 0"
        elif clear:
            word = EXPLAINS if tracks and along[measure] > 0 else EQUAL_ONLY
        elif max(-low[measure], high[measure]) >= SMALL:
            numbers += (
                f"; r could be {max(low[measure], high[measure], key=abs):.2f}, more configurations or seeds would tell"
            )
        else:
            word = PROXY if tracks else NO_EVIDENCE
        verdicts.append(Verdict(word, numbers, float(p[measure])))
    return verdicts


def _along_p(psi: Floats) -> Floats:
    """Two-sided p value of psi, normal with the deviation of its resamples; 1 where it is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.abs(psi[0]) / deviation(psi)
    p: Floats = 2 * ndtr(-np.nan_to_num(z, nan=0.0, posinf=np.inf))
    return p
