"""Simulation of nightly decisions on one fixed test set: false promotions, inflated numbers and power of each rule.

Usage: python -m benchmarks.nights [--years 400] [--images 400 --validation 400] [--errors both] [--rules NAME ...]

The champion starts with a true accuracy of 0.88, and an equal challenger differs from it on 8% of the images. The same
model of the errors holds for the validation images. There are two:

    difficulty  An image has a difficulty d, a model an ability a, and it is right if sqrt(r) d + sqrt(1 - r) e < a.
                d and e are standard normal, e new for every model and image. The errors of all challengers are alike.
    flips       A challenger is right on the images that the champion is right on, except for 4% of all images, and on
                4% besides, drawn anew every night. So a lucky champion hands its luck on.

Rules:
    today      McNemar's mid-p-value at most 5%, every night
    quadratic  night k may spend 6 / (pi k)^2 of the budget of 5%
    steady     every night may spend 1/365 of it
    LORD++     a limit on the share of false promotions, not on their number (Ramdas et al. 2017)
    ladder     a gain above its standard error (Blum & Hardt 2015, without parameters)
    gate       steady, but 90% of it is kept for nights with a p-value of at most 0.1 on the validation images
    e-value    steady, times p^-0.5 / 2 of the validation images, at most half of what is left
    pooled     the rule of `retrain` (`transfercli.evaluation.statistics.alpha_spending`), with an audit of 20%
    no audit   the same, and every test image decides

First table: `equal, 30` and `365`: every challenger is as good as the champion; share of years with a promotion, and
the inflation of the champion's number on the deciding images, in points, after so many nights; `audit`: its inflation
on the audit images. `worse, 365`: every challenger is 1 point worse; share of years with a promotion, the mean change
of the champion's true accuracy, and the share of years in which it ends more than 1 point lower. `mixed`: true gains
are normal, -0.5 points on average with a standard deviation of 1; promotions of a year, and how many are truly worse.

Second table: power in percent of a challenger that is truly better by so many points, in nights 1, 30 and 365, after
nights of equal challengers; in brackets within 7 nights, with a new challenger each night.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import betainc, ndtr, ndtri

from transfercli.evaluation.statistics.alpha_spending import night_level

ACCURACY, DISAGREEMENT = 0.88, 0.08
CONFIDENCE = LIFETIME = 0.95
BUDGET = 1 - LIFETIME
YEAR = 365
GAINS = (0.01, 0.03, 0.05)
PROBED = (1, 30, YEAR)
COLUMNS = ("equal, 30", "inflation", "365", "inflation", "audit", "worse, 365", "change", "1 lower", "mixed")
WEEK = 7

Numbers = npt.NDArray[Any]


def correlation() -> float:
    """Return r of the model of errors."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(201)

    def excess(r: float) -> float:
        right = ndtr((ndtri(ACCURACY) - np.sqrt(r) * nodes) / np.sqrt(1 - r))
        return float((weights * 2 * right * (1 - right)).sum() / weights.sum() - DISAGREEMENT)

    return float(brentq(excess, 0.01, 0.999))


def p_value(fixed: Numbers, broken: Numbers) -> Numbers:
    """Return the one-sided p-value of McNemar's exact test."""
    return np.where(fixed > 0, betainc(np.maximum(fixed, 1), broken + 1, 0.5), 1.0)


def mid_p_value(fixed: Numbers, broken: Numbers) -> Numbers:
    return (p_value(fixed, broken) + 1 - p_value(broken, fixed)) / 2


@dataclass
class Contest:
    """Answers of challenger and champion, of Y years: images that only one of them has right, [Y] each."""

    night: int
    fixed: Numbers
    broken: Numbers
    images: int
    validation_fixed: Numbers
    validation_broken: Numbers
    validation_images: int


class Rule:
    """A rule of promotion for Y years at once; `left` is what is left of the budget, [Y]."""

    audit = 0.0

    def start(self, years: int, nights: int) -> None:
        self.left = np.full(years, BUDGET)

    def copy(self) -> Rule:
        other = object.__new__(type(self))
        other.__dict__ = {name: np.copy(value) for name, value in self.__dict__.items()}
        return other

    def level(self, contest: Contest) -> Numbers:
        raise NotImplementedError

    def promotes(self, contest: Contest) -> Numbers:
        """Return the years, bool [Y], whose challenger is promoted, and charge the others."""
        level = self.level(contest)
        won = p_value(contest.fixed, contest.broken) <= level
        self.left = self.left - np.where(won, 0.0, level)
        return won


class Today(Rule):
    def promotes(self, contest: Contest) -> Numbers:
        return mid_p_value(contest.fixed, contest.broken) <= 1 - CONFIDENCE


class Quadratic(Rule):
    def level(self, contest: Contest) -> Numbers:
        return np.full(len(self.left), BUDGET * 6 / (np.pi * contest.night) ** 2)


class Steady(Rule):
    def level(self, contest: Contest) -> Numbers:
        return np.full(len(self.left), BUDGET / YEAR)


class Lord(Rule):
    def start(self, years: int, nights: int) -> None:
        super().start(years, nights)
        number = np.arange(1, nights + WEEK + 1)
        gamma = np.log(np.maximum(number, 2)) / (number * np.exp(np.sqrt(np.log(number))))
        self.gamma, self.won = gamma / gamma.sum(), np.zeros((years, nights + WEEK + 1))

    def promotes(self, contest: Contest) -> Numbers:
        night, first = contest.night, BUDGET / 2
        before = self.won[:, 1:night]
        after = before @ self.gamma[: night - 1][::-1] if night > 1 else 0.0
        earliest = np.where(before.any(axis=1), night - 1 - before.argmax(axis=1), 0) if night > 1 else 0
        of_first = np.where(np.asarray(earliest) > 0, self.gamma[np.maximum(earliest, 1) - 1], 0.0)
        level = self.gamma[night - 1] * first + BUDGET * after - first * of_first
        won = p_value(contest.fixed, contest.broken) <= level
        self.won[:, night] = won
        return won


class Ladder(Rule):
    def promotes(self, contest: Contest) -> Numbers:
        gain, differ = contest.fixed - contest.broken, contest.fixed + contest.broken
        return gain > np.sqrt(np.maximum(differ - gain**2 / contest.images, 0.0))


class Gate(Rule):
    def level(self, contest: Contest) -> Numbers:
        promising = mid_p_value(contest.validation_fixed, contest.validation_broken) <= 0.1
        return np.minimum(self.left, BUDGET / YEAR * np.where(promising, 0.9 / 0.1, 0.1 / 0.9))


class EValue(Rule):
    def level(self, contest: Contest) -> Numbers:
        weight = 0.5 / np.sqrt(mid_p_value(contest.validation_fixed, contest.validation_broken))
        return np.minimum(self.left / 2, BUDGET / YEAR * weight)


class Pooled(Rule):
    audit = 0.2

    def level(self, contest: Contest) -> Numbers:
        validation = mid_p_value(contest.validation_fixed, contest.validation_broken)
        return night_level(self.left, contest.images, contest.validation_images, validation, 1 - CONFIDENCE)


class NoAudit(Pooled):
    audit = 0.0


RULES: dict[str, type[Rule]] = {
    "today": Today,
    "quadratic": Quadratic,
    "steady": Steady,
    "LORD++": Lord,
    "ladder": Ladder,
    "gate": Gate,
    "e-value": EValue,
    "no audit": NoAudit,
    "pooled": Pooled,
}


@dataclass
class Images:
    """Test images, then validation images, of Y years: sqrt(r) d, float32 [Y, N]."""

    rng: np.random.Generator
    years: int
    test: int
    validation: int
    flips: bool = False
    r: float = field(default_factory=correlation)

    def __post_init__(self) -> None:
        self.difficulty = self.noise() * np.float32(np.sqrt(self.r))

    def noise(self) -> Numbers:
        return self.rng.standard_normal((self.years, self.test + self.validation), dtype=np.float32)

    def answers(self, accuracy: Numbers, noise: Numbers) -> Numbers:
        """Return the images that models of this true accuracy [Y] have right, bool [Y, N]."""
        score = self.difficulty + np.float32(np.sqrt(1 - self.r)) * noise
        return score < ndtri(accuracy).astype(np.float32)[:, None]

    def flipped(self, right: Numbers, before: Numbers, accuracy: Numbers, noise: Numbers) -> Numbers:
        """Return the answers of challengers that differ from champions of the true accuracy `before` at random."""
        gain = accuracy - before
        differ = np.maximum(DISAGREEMENT, np.abs(gain))
        fixed, broken = (differ + gain) / 2 / (1 - before), (differ - gain) / 2 / before
        bounds = [ndtri(np.clip(share, 0, 1)).astype(np.float32)[:, None] for share in (broken, fixed)]
        return right ^ (noise < np.where(right, *bounds))


class Champions:
    """Champions of Y years under one rule: true accuracies [Y] and answers [Y, N]."""

    def __init__(self, rule: Rule, images: Images, noise: Numbers, nights: int) -> None:
        self.rule, self.images = rule, images
        self.accuracy = np.full(images.years, ACCURACY)
        self.right = images.answers(self.accuracy, noise)
        self.promotions, self.worse = np.zeros(images.years, int), np.zeros(images.years, int)
        self.deciding = round(images.test * (1 - rule.audit))
        rule.start(images.years, nights)

    def copy(self) -> Champions:
        other = object.__new__(Champions)
        other.__dict__ = {**self.__dict__, "rule": self.rule.copy()}
        return other

    def night(self, number: int, gain: Numbers | float, noise: Numbers) -> Numbers:
        """Compare challengers with a true gain, and return the years [Y] whose champion is replaced."""
        accuracy = np.clip(self.accuracy + gain, 0.01, 0.995)
        if self.images.flips:
            right = self.images.flipped(self.right, self.accuracy, accuracy, noise)
        else:
            right = self.images.answers(accuracy, noise)
        fixed, broken = right & ~self.right, self.right & ~right
        test, validation = slice(self.deciding), slice(self.images.test, None)
        counts = [change[:, part].sum(axis=1) for part in (test, validation) for change in (fixed, broken)]
        won = self.rule.promotes(
            Contest(number, *counts[:2], self.deciding, *counts[2:], self.images.validation)  # type: ignore[misc]
        )
        self.promotions = self.promotions + won
        self.worse = self.worse + (won & (accuracy < self.accuracy - 1e-9))
        self.accuracy = np.where(won, accuracy, self.accuracy)
        self.right = np.where(won[:, None], right, self.right)
        return won

    def summary(self) -> dict[str, float]:
        audit = self.right[:, self.deciding : self.images.test]
        return {
            "any": float((self.promotions > 0).mean()),
            "promotions": float(self.promotions.mean()),
            "worse": float(self.worse.mean()),
            "lower": float((self.accuracy < ACCURACY - 0.0101).mean()),
            "change": 100 * float((self.accuracy - ACCURACY).mean()),
            "inflation": 100 * float((self.right[:, : self.deciding].mean(axis=1) - self.accuracy).mean()),
            "audit": 100 * float((audit.mean(axis=1) - self.accuracy).mean()) if audit.size else float("nan"),
        }


def simulate_year(
    names: list[str], images: Images, mean: float, spread: float = 0.0, nights: int = YEAR
) -> dict[str, dict[int, dict[str, float]]]:
    """Return a summary of each rule after 30 nights and at the end, for challengers with these true gains."""
    start = images.noise()
    champions = {name: Champions(RULES[name](), images, start, nights) for name in names}
    found: dict[str, dict[int, dict[str, float]]] = {name: {} for name in names}
    for number in range(1, nights + 1):
        noise, gain = images.noise(), images.rng.normal(mean, spread, images.years)
        for name, champion in champions.items():
            champion.night(number, gain, noise)
            if number in (30, nights):
                found[name][number] = champion.summary()
    return found


def power(names: list[str], images: Images, nights: int = YEAR) -> dict[str, dict[tuple[int, float], list[float]]]:
    """Return the power of each rule: (night, true gain) -> power on that night, and within a week."""
    start = images.noise()
    champions = {name: Champions(RULES[name](), images, start, nights) for name in names}
    found: dict[str, dict[tuple[int, float], list[float]]] = {name: {} for name in names}
    for number in range(1, nights + 1):
        if number in PROBED:
            for gain in GAINS:
                trials = {name: champion.copy() for name, champion in champions.items()}
                won = {name: [] for name in names}  # type: dict[str, list[Numbers]]
                for later in range(WEEK):
                    noise = images.noise()
                    for name, trial in trials.items():
                        # The gain is that over the champion of the first night.
                        remaining = np.where(np.any(won[name], axis=0), 0.0, gain) if won[name] else gain
                        won[name].append(trial.night(number + later, remaining, noise))
                for name in names:
                    found[name][number, gain] = [float(won[name][0].mean()), float(np.any(won[name], axis=0).mean())]
        noise = images.noise()
        for champion in champions.values():
            champion.night(number, 0.0, noise)
    return found


def tables(names: list[str], years: int, test: int, validation: int, flips: bool, seed: int = 0) -> str:
    """Return two Markdown tables: errors, and power."""

    def images() -> Images:
        return Images(np.random.default_rng(seed), years, test, validation, flips)

    equal, worse = simulate_year(names, images(), 0.0), simulate_year(names, images(), -0.01)
    mixed, powers = simulate_year(names, images(), -0.005, 0.01), power(names, images())
    lines = [
        f"{test} test images, {validation} validation images, {years} years, {'flips' if flips else 'difficulty'}",
        "",
        f"| rule | {' | '.join(COLUMNS)} |",
        "| --- |" + " ---: |" * len(COLUMNS),
    ]
    for name in names:
        month, one, other, third = equal[name][30], equal[name][YEAR], worse[name][YEAR], mixed[name][YEAR]
        audit = "" if np.isnan(one["audit"]) else f"{one['audit']:+.1f}"
        lines.append(
            f"| {name} | {month['any']:.1%} | {month['inflation']:+.1f} | {one['any']:.1%} | {one['inflation']:+.1f}"
            f" | {audit} | {other['any']:.1%} | {other['change']:+.2f} | {other['lower']:.1%}"
            f" | {third['promotions']:.2f} ({third['worse']:.3f}) |"
        )
    lines += ["", f"| power | {' | '.join(f'+{100 * gain:.0f}' for gain in GAINS)} |", "| --- |" + " ---: |" * 3]
    for name in names:
        cells = []
        for gain in GAINS:
            once, week = (
                ", ".join(f"{100 * powers[name][night, gain][kind]:.0f}" for night in PROBED) for kind in (0, 1)
            )
            cells.append(f"{once} ({week})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=400)
    parser.add_argument("--images", type=int)
    parser.add_argument("--validation", type=int)
    parser.add_argument("--errors", default="both", choices=["difficulty", "flips", "both"])
    parser.add_argument("--rules", nargs="+", default=list(RULES), choices=list(RULES))
    options = parser.parse_args()
    sizes = [(options.images, options.validation if options.validation is not None else options.images)]
    if options.images is None:
        sizes = [(200, 200), (400, 400), (400, 0), (1000, 1000)]
    for flips in (False, True):
        for test, validation in sizes:
            if options.errors in ("both", "flips" if flips else "difficulty"):
                print(tables(options.rules, options.years, test, validation, flips), flush=True)


if __name__ == "__main__":
    main()
