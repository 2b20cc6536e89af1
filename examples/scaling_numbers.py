"""The results of `09_scaling_laws.py`: fits, best sizes, the prediction and its error.

rows   {"settings": ..., "result": ...} of each trial, as 09_scaling_laws.jsonl has them
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from almanac import PEOPLE
from laboratory import paired
from scaling_fit import bootstrap, falling, fit, interval, power, valley

from npgpt.families.size import flops_per_token, parameters_by_part

FITTED = 3  # budgets, the largest, that the law is fitted to
NEAREST = 4  # sizes about a budget's best one, to which its parabola is fitted
DRAWS = 300  # of the noise that exponents by parabolas are drawn again with


class Value(NamedTuple):
    """A number and the interval in which 95 % of the samples are."""

    value: float
    low: float
    high: float


class Points(NamedTuple):
    """Runs as arrays (R,): FLOPs, parameters, tokens, loss in nats per token."""

    C: np.ndarray
    N: np.ndarray
    D: np.ndarray
    L: np.ndarray

    def where(self, kept_R):
        return Points(*(x[kept_R] for x in self))


class Numbers:
    """Everything that is said of a text."""

    def __init__(self, rows, text="almanac"):
        self.text, rows = text, [r for r in rows if r["settings"]["text"] == text]
        self.told = {
            r["settings"]["predict"]: r["result"] for r in rows if "predict" in r["settings"]
        }
        runs = [r for r in rows if "predict" not in r["settings"]]
        self.texts = sorted((r for r in runs if "stories" in r["settings"]),
                            key=lambda r: r["settings"]["stories"])
        runs = [r for r in runs if "stories" not in r["settings"]]
        self.losses = {}  # by flops, channels and rate: those of all seeds, in their order
        for r in sorted(runs, key=lambda r: r["settings"]["seed"]):
            self.losses.setdefault(_where(r), []).append(r["result"]["loss"])
        self.tried = [r for r in runs if r["settings"]["seed"] == 1]
        best = at_the_best_rate(self.tried)
        budgets = [r["settings"]["flops"] for r in best]
        self.budgets = [C for C in sorted(set(budgets)) if budgets.count(C) > 2]
        self.runs = [r for r in best if r["settings"]["flops"] in self.budgets]
        self.fitted_budgets = self.budgets[-FITTED:]
        self.fitted = [r for r in self.runs if r["settings"]["flops"] in self.fitted_budgets]
        self.floor = runs[0]["result"].get("entropy") if runs else None
        told = {(flops, found["channels"]) for flops, found in self.told.items()}
        self.largest = [r for r in best if _where(r)[:2] in told]
        self.law, self.samples = cache(self._law), cache(self._samples)
        self.by_valleys = cache(self.by_valleys)

    def loss(self, row):
        """Return the mean of all seeds with a row's other settings."""
        return float(np.mean(self.losses[_where(row)]))

    def excess(self, row):
        """Return the loss above the entropy."""
        return self.loss(row) - self.floor

    def points(self, count="parameters", rows=None):
        """count: how parameters are counted, or "without embeddings"    rows: none: all runs"""
        return Points(*np.array([
            (r["settings"]["flops"], r["result"][count], r["result"]["tokens"],
             self.loss(r))
            for r in rows or self.runs
        ], float).T)

    def worse(self, row, other):
        """Return the `Difference` of a run's loss to that of another one, seed by seed."""
        pairs = zip(*(self.losses[_where(r)] for r in (row, other)), strict=False)
        return paired(*zip(*pairs, strict=True))

    def seeds(self, row):
        return len(self.losses[_where(row)])

    def spread(self):
        """The standard deviation of the excess between seeds, as a share of the excess: the root of
        the mean square over all runs that were repeated; if none was, as the law misses them."""
        repeated = [r for r in self.runs if self.seeds(r) > 1]
        squares = [np.var(self.losses[_where(r)], ddof=1) / self.excess(r) ** 2 for r in repeated]
        return float(np.mean(squares) ** 0.5) if squares else rms(self.missed())

    def repeated(self):
        """Return the budgets whose runs all have several seeds."""
        once = {r["settings"]["flops"] for r in self.runs if self.seeds(r) == 1}
        return [C for C in self.budgets if C not in once]

    # ---- the law

    def _law(self, known):
        """Return the fit with E given, the entropy (known), or free."""
        return fit(*self.points(rows=self.fitted)[1:], floor=self.floor if known else None)

    def _samples(self, known):
        return bootstrap(*self.points(rows=self.fitted)[1:], floor=self.floor if known else None)

    def missed(self):
        """Return the law's excess, E given, over that of each run that it is fitted to, less 1."""
        _, N, D, L = self.points(rows=self.fitted)
        return (self.law(True).loss(N, D) - self.floor) / (L - self.floor) - 1

    def constant(self, name, known):
        return Value(getattr(self.law(known), name), *interval(getattr(self.samples(known), name)))

    def of_few(self, budgets):
        """Return the law, E free, by the runs of some budgets only, and E's interval."""
        points = self.points()
        some = points.where(np.isin(points.C, budgets))
        law, samples = fit(*some[1:]), bootstrap(*some[1:])
        return Value(law.E, *interval(samples.E)), Value(law.exponent, *interval(samples.exponent))

    def by_squares(self):
        """Return E by least squares of log L, where Huber's loss gives far runs less weight."""
        _, N, D, L = self.points(rows=self.fitted)
        return Value(fit(N, D, L, delta=1).E, *interval(bootstrap(N, D, L, delta=1).E))

    def by_the_best(self):
        """E by the least loss of each budget, as it falls to E with a power of the budget."""
        C = np.array(self.budgets)

        def found(points):
            return falling(C, np.array([v.loss for v in self.valleys(points=points)]))[0]

        return Value(found(self.points()), *interval([found(again) for again in self._redrawn()]))

    # ---- the best size of a budget

    def valleys(self, count="parameters", nearest=NEAREST, points=None):
        points = points or self.points(count)
        return [
            valley(some.N, some.L, nearest)
            for some in (points.where(budget == points.C) for budget in self.budgets)
        ]

    def by_valleys(self, count="parameters", nearest=NEAREST):
        """Return the exponent of the best size by parabolas."""
        found = [self._exponent(self.valleys(count, nearest, again))
                 for again in self._redrawn(count)]
        return Value(self._exponent(self.valleys(count, nearest)), *interval(found))

    def _redrawn(self, count="parameters"):
        """Yield points with the noise of seeds, again and again: it is a share of the excess."""
        points, rng = self.points(count), np.random.default_rng(0)
        noise_R = self.spread() / np.sqrt([self.seeds(r) for r in self.runs])
        for _ in range(DRAWS):
            yield points._replace(
                L=self.floor + (points.L - self.floor) * np.exp(rng.normal(0, noise_R))
            )

    def counting(self):
        """By how much the exponent by parabolas is larger if embeddings are not counted: the same
        losses, drawn again in the same way, are counted in both ways."""
        ways = "without embeddings", "parameters"
        values = [self._exponent(self.valleys(way)) for way in ways]
        drawn = [[self._exponent(self.valleys(way, points=again)) for again in self._redrawn(way)]
                 for way in ways]
        return Value(values[0] - values[1], *interval(np.subtract(*drawn)))

    def at_one_rate(self):
        """Return rate -> the exponent by parabolas if all models had been trained at this one."""
        found = {}
        for rate in sorted({r["settings"]["rate"] for r in self.tried}):
            runs = Numbers([r for r in self.tried if r["settings"]["rate"] == rate], self.text)
            if len(runs.budgets) > 2:
                found[rate] = runs._exponent(runs.valleys())
        return found

    def _exponent(self, valleys):
        """Return the exponent of valleys inside the tried sizes; NaN for fewer than two."""
        pairs = [(C, v.size) for C, v in zip(self.budgets, valleys, strict=True) if v.inside]
        return power(*zip(*pairs, strict=True))[1] if len(pairs) > 1 else float("nan")

    def of_the_laws_own(self, nearest):
        """The exponent by parabolas where the truth is known: losses by the fitted law itself."""
        points, law = self.points(), self.law(True)
        points = points._replace(L=law.loss(points.N, points.C / 6 / points.N))
        return self._exponent(self.valleys(nearest=nearest, points=points))

    # ---- the run outside the grid

    def predicted(self, config, flops):
        """Return the loss of a size at a budget by the fits."""
        N = sum(parameters_by_part(config).values())
        D = flops / (3 * flops_per_token(config))
        found = {"parameters": N, "tokens": int(D)}
        for name, known in (("E given", True), ("E free", False)):
            losses = self.samples(known).loss(N, D)
            found[name] = Value(float(self.law(known).loss(N, D)), *interval(losses))
        return found

    def at_each_rate(self, row):
        """rate -> the first seed's excess, of the rates tried with a run's size and budget."""
        same = [r for r in self.tried if _where(r)[:2] == _where(row)[:2]]
        return dict(sorted((r["settings"]["rate"], r["result"]["excess"]) for r in same))

    def predictions(self):
        """(FLOPs, the prediction, the run) of each budget that was predicted and is trained."""
        return [
            (r["settings"]["flops"], self.told[r["settings"]["flops"]], r) for r in self.largest
        ]

    def best(self, budget):
        """Return the run of the least loss at a budget."""
        return min((r for r in self.runs if r["settings"]["flops"] == budget), key=self.loss)

    def bests(self):
        """Return (FLOPs, the best run) of each budget, then predicted runs of budgets beyond."""
        found = [(C, self.best(C)) for C in self.budgets]
        return found + [(C, run) for C, _, run in self.predictions() if C not in self.budgets]


def rms(numbers):
    """Return the root of the mean square."""
    return float(np.mean(np.square(numbers)) ** 0.5)


def _where(row):
    return tuple(row["settings"][name] for name in ("flops", "channels", "rate"))


def at_the_best_rate(rows):
    """Return the run of least loss among runs that differ only in their learning rate."""
    best = {}
    for row in sorted(rows, key=lambda r: -r["result"]["loss"]):
        best[_where(row)[:2]] = row
    return [best[key] for key in sorted(best)]


def unknown_share(exponent, shift, known, people=PEOPLE):
    """How often people are met, of all that are met, who are not among the `known` first ones."""
    often_N = (np.arange(1, people + 1) + shift) ** -float(exponent)
    return 1 - np.cumsum(often_N)[np.asarray(known) - 1] / often_N.sum()
