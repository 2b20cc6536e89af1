"""What the runs of `09_scaling_laws.py` come to: fits, best sizes, the prediction and its error.

rows   {"settings": ..., "result": ...} of each trial, as 09_scaling_laws.jsonl has them
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from scaling_fit import bootstrap, fit, interval, power, valley

from npgpt.model.size import flops_per_token, parameters_by_part

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
    """Everything that the tables, the figure and the sentences say."""

    def __init__(self, rows):
        self.told = {
            r["settings"]["predict"]: r["result"] for r in rows if "predict" in r["settings"]
        }
        runs = [r for r in rows if "predict" not in r["settings"]]
        self.texts = sorted((r for r in runs if "stories" in r["settings"]),
                            key=lambda r: r["settings"]["stories"])  # fmt: skip
        self.of_file = [r for r in runs if r["settings"]["text"] != "almanac"]
        runs = [r for r in runs if r not in self.texts and r not in self.of_file]
        told = {(flops, found["channels"]) for flops, found in self.told.items()}
        self.largest = [
            r for r in runs if (r["settings"]["flops"], r["settings"]["channels"]) in told
        ]
        self.tried = [r for r in runs if r not in self.largest]
        self.runs = at_the_best_rate(self.tried)
        self.floor = self.runs[0]["result"]["entropy"]
        self.budgets = sorted({r["settings"]["flops"] for r in self.runs})
        self.law, self.samples = cache(self._law), cache(self._samples)

    def points(self, count="parameters", rows=None):
        """count: how parameters are counted, with or "without embeddings"."""
        rows = self.runs if rows is None else rows
        found = [
            (r["settings"]["flops"], r["result"][count], r["result"]["tokens"], r["result"]["loss"])
            for r in rows
        ]
        return Points(*np.array(found, float).T)

    # ---- the law

    def _law(self, known, count="parameters"):
        """The fit with E given, the entropy (known), or free."""
        return fit(*self.points(count)[1:], floor=self.floor if known else None)

    def _samples(self, known, count="parameters"):
        return bootstrap(*self.points(count)[1:], floor=self.floor if known else None)

    def missed(self, count="parameters"):
        """By what share of the loss the runs miss the law, E given: the root of the mean square."""
        _, N, D, L = self.points(count)
        return float(np.sqrt(np.mean(np.log(self.law(True, count).loss(N, D) / L) ** 2)))

    def constant(self, name, known, count="parameters"):
        samples = getattr(self.samples(known, count), name)
        return Value(getattr(self.law(known, count), name), *interval(samples))

    def of_few(self, budgets):
        """The law, E free, by the runs of some budgets only, and E's interval."""
        points = self.points()
        some = points.where(np.isin(points.C, budgets))
        law, samples = fit(*some[1:]), bootstrap(*some[1:])
        return Value(law.E, *interval(samples.E)), Value(law.exponent, *interval(samples.exponent))

    # ---- the best size of a budget

    def valleys(self, count="parameters", nearest=NEAREST, points=None):
        points = points or self.points(count)
        return [
            valley(some.N, some.L, nearest)
            for some in (points.where(budget == points.C) for budget in self.budgets)
        ]

    def by_valleys(self, count="parameters", nearest=NEAREST):
        """The exponent of the best size by parabolas, drawn again with noise of the size by which
        the losses miss the law."""
        points, rng, found = self.points(count), np.random.default_rng(0), []
        noise = self.missed(count)
        for _ in range(DRAWS):
            again = points._replace(L=points.L * np.exp(rng.normal(0, noise, len(points.L))))
            found.append(self._exponent(self.valleys(count, nearest, again)))
        return Value(self._exponent(self.valleys(count, nearest)), *interval(found))

    def _exponent(self, valleys):
        """Of valleys inside the sizes that were tried; NaN for fewer than two."""
        pairs = [(C, v.size) for C, v in zip(self.budgets, valleys, strict=True) if v.inside]
        return power(*zip(*pairs, strict=True))[1] if len(pairs) > 1 else float("nan")

    def of_the_laws_own(self, nearest):
        """The exponent by parabolas where the truth is known: losses by the fitted law itself."""
        points, law = self.points(), self.law(True)
        points = points._replace(L=law.loss(points.N, points.C / 6 / points.N))
        return self._exponent(self.valleys(nearest=nearest, points=points))

    # ---- the run outside the grid

    def predicted(self, config, flops):
        """What the fits say of a size at a budget."""
        N = sum(parameters_by_part(config).values())
        D = flops / (3 * flops_per_token(config))
        found = {"parameters": N, "tokens": int(D)}
        for name, known in (("E given", True), ("E free", False)):
            losses = self.samples(known).loss(N, D)
            found[name] = Value(float(self.law(known).loss(N, D)), *interval(losses))
        return found

    def predictions(self):
        """(FLOPs, the prediction, the run) of each budget that was predicted and is trained."""
        return [
            (r["settings"]["flops"], self.told[r["settings"]["flops"]], r) for r in self.largest
        ]

    def sizes(self, budget):
        """How many sizes of model were trained at a budget."""
        runs = self.runs + self.largest
        return len({r["settings"]["channels"] for r in runs if r["settings"]["flops"] == budget})

    def best(self, budget):
        """The run of the least loss at a budget."""
        runs = [r for r in self.runs if r["settings"]["flops"] == budget]
        return min(runs, key=lambda r: r["result"]["loss"])


def at_the_best_rate(rows):
    """Of runs that differ in their learning rate only, the one of the least loss."""
    best = {}
    for row in sorted(rows, key=lambda r: -r["result"]["loss"]):
        settings = row["settings"]
        best[settings["flops"], settings["channels"], settings["seed"]] = row
    return [best[key] for key in sorted(best)]
