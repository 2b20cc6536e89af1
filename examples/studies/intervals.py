"""Statistics of the studies: intervals by Student's t, the fit of a scaling law, its misfit."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import least_squares

LIMIT = 1 / 3  # of the excess: an interval that reaches beyond cannot tell
SHOWN, NOT_SHOWN, CANNOT_TELL = "shown", "not shown beyond", "cannot be told"
DELTA = 1e-3  # Huber's: an error of log L counts by its square below, by its size above
SAMPLES = 300  # of a bootstrap


class Interval(NamedTuple):
    """A mean with the ends of its interval, 95 %.

    >>> f"{Interval(0.5, 0.25, 0.75):.0%}"
    '50% (25% to 75%)'
    """

    mean: float
    low: float
    high: float

    def __format__(self, spec):
        return "{} ({} to {})".format(*(self.one(x, spec) for x in self))

    @staticmethod
    def one(x, spec):
        return format(x, spec)


class Ratio(Interval):
    """An interval of the logarithm of a ratio, written as the percent that is added.

    >>> f"{Ratio(0.1, -0.1, 3.0)}"
    '+11 % (-10 % to x 20)'
    """

    @staticmethod
    def one(x, spec):
        ratio = np.exp(x)
        if spec:
            return format(ratio, spec)
        return f"x {ratio:.0f}" if ratio >= 10 else f"{100 * (ratio - 1):+.0f} %"

    @property
    def percent(self):
        """The percent that is added, as an `Interval`."""
        return Interval(*100 * np.expm1(self))

    @property
    def word(self):
        """What the interval says."""
        if self.low > 0 or self.high < 0:
            return SHOWN
        beyond = max(np.expm1(self.high), -np.expm1(self.low))
        return CANNOT_TELL if beyond > LIMIT else f"{NOT_SHOWN} {100 * beyond:.0f} %"


def student(x, kind=Interval):
    """Return the `Interval` of a mean by Student's t; NaN are left out."""
    x = pd.Series(x, dtype=float)
    mean, reach = x.mean(), stats.t.ppf(0.975, x.count() - 1) * x.sem()
    return kind(mean, mean - reach, mean + reach)


def ratio(x, beside):
    """Return the `Ratio` of values to those beside them: Series, pair by pair of what both have."""
    return student(np.log(x / beside), Ratio)


# ---- the law L(N, D) = E + A / N**alpha + B / D**beta


class Law(NamedTuple):
    """The five constants of a law. N: parameters, D: tokens read, L: loss in nats per token.

    Source: Hoffmann et al., Training Compute-Optimal Large Language Models, 2022, section 3.3.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, N, D):
        return self.E + self.A / N**self.alpha + self.B / D**self.beta


def fit(N, D, L, E=None, *, excess=False, start=None):
    """Return the `Law` of the least error.    N, D, L: (R,) of each run

    E       the entropy, if it is known; else it is fitted, too
    excess  least squares of log (L - E), E given; else Huber's loss of log L (Hoffmann et al.)
    start   the `Law` to begin with; none: ever narrower losses, as a narrow one has many valleys
    """
    n, d = np.log(N), np.log(D)
    n_mean, d_mean = n.mean(), d.mean()  # centred, or A and alpha would depend on each other
    zero, loss = (E, "linear") if excess else (0, "huber")

    def law(theta):
        a, b, alpha, beta, *log_E = theta
        floor = np.exp(log_E[0]) if log_E else E
        return Law(floor, np.exp(a + alpha * n_mean), np.exp(b + beta * d_mean), alpha, beta)

    def error(theta):
        return np.log((law(theta).loss(N, D) - zero) / (L - zero))

    scales = np.geomspace(0.1, DELTA, 9) if start is None else [DELTA]
    if start is None:
        floor = 0.8 * L.min() if E is None else E
        half = (L.mean() - floor) / 2
        start = Law(floor, half * np.exp(0.4 * n_mean), half * np.exp(0.4 * d_mean), 0.4, 0.4)
    theta = [np.log(start.A) - start.alpha * n_mean, np.log(start.B) - start.beta * d_mean,
             start.alpha, start.beta, np.log(start.E)]
    bounds = (-15, -15, 0, 0, -15), (15, 15, 3, 3, 15)  # wide, and no logarithm of 0 in them
    low, high, theta = (x[: 5 if E is None else 4] for x in (*bounds, theta))
    for scale in scales:
        theta = least_squares(error, np.clip(theta, low, high), bounds=(low, high), loss=loss,
                              f_scale=scale, x_scale="jac", max_nfev=100).x
    return law(theta)


def bootstrap(N, D, L, E=None, *, samples=SAMPLES, seed=0, excess=False):
    """Yield the `Law` of the runs, then of each sample of as many runs, drawn with replacement.

    Source: Besiroglu et al., Chinchilla Scaling: A Replication Attempt, 2024.
    """
    rng, law = np.random.default_rng(seed), fit(N, D, L, E, excess=excess)
    yield law
    for _ in range(samples):
        i_R = rng.integers(0, len(N), len(N))
        yield fit(N[i_R], D[i_R], L[i_R], E, excess=excess, start=law)


def lack_of_fit(residuals, cells, constants):
    """Return as text F and its p: how far the means of cells are from a law of so many constants,
    beside what the noise within cells explains. It is about 1 if the law is right."""
    by = pd.Series(np.asarray(residuals)).groupby(np.asarray(cells))
    df = by.ngroups - constants, len(residuals) - by.ngroups
    noise = (by.var() * (by.size() - 1)).sum() / df[1]
    F = (by.size() * by.mean() ** 2).sum() / df[0] / noise
    return f"F{df} = {F:.1f}, p = {stats.f.sf(F, *df):.1g}".replace("e-0", "e-")


def between(value, samples):
    """Return the `Interval` of a value between whose ends 95 % of the samples lie."""
    return Interval(value, *map(float, np.percentile(samples, (2.5, 97.5))))
