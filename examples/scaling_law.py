"""The scaling law L(N, D) = E + A / N**alpha + B / D**beta, and its fit by scipy.

    N  parameters    D  tokens read    L  loss in nats per token

Source: Hoffmann et al., Training Compute-Optimal Large Language Models, 2022, section 3.3; the
bootstrap as in Besiroglu et al., Chinchilla Scaling: A Replication Attempt, 2024.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

DELTA = 1e-3  # Huber's: an error of log L counts by its square below, by its size above
SAMPLES = 500  # of a bootstrap


class Law(NamedTuple):
    """The five constants of a law."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, N, D):
        return self.E + self.A / N**self.alpha + self.B / D**self.beta

    @property
    def exponent(self):
        """Return p, where the best N for a budget of C = 6 N D FLOPs grows as C**p."""
        return self.beta / (self.alpha + self.beta)

    def best_size(self, flops):
        """Return the N of the least loss, where N D = flops / 6."""
        ratio = self.alpha * self.A / (self.beta * self.B)
        return ratio ** (1 / (self.alpha + self.beta)) * (flops / 6) ** self.exponent


def fit(N, D, L, E=None, *, loss="huber", delta=DELTA, of=np.log, start=None):
    """Return the `Law` of the least error.    N, D, L: (R,) of each run

    E      the entropy, if it is known; else it is fitted, too
    loss   scipy's name, with `delta` as its scale: "huber", or "linear" for least squares
    of     what is compared: log L as Hoffmann et al. do, or another function of L
    start  the `Law` to begin with; none: eight that share the loss out differently
    """
    n, d, y = np.log(N), np.log(D), of(L)
    n_mean, d_mean = n.mean(), d.mean()  # centred, or A and alpha would depend on each other

    def law(theta):
        a, b, alpha, beta, *log_E = theta
        floor = np.exp(log_E[0]) if log_E else E
        return Law(floor, np.exp(a + alpha * n_mean), np.exp(b + beta * d_mean), alpha, beta)

    def theta(law):
        at = np.log(law.A) - law.alpha * n_mean, np.log(law.B) - law.beta * d_mean
        return [*at, law.alpha, law.beta] + [np.log(law.E)] * (E is None)

    def error(theta):
        with np.errstate(all="ignore"):
            return np.nan_to_num(of(law(theta).loss(N, D)) - y, nan=1e3, posinf=1e3, neginf=-1e3)

    def solution(start, scale):
        return least_squares(error, start, loss=loss, f_scale=scale, x_scale="jac", max_nfev=400)

    starts = [theta(at) for at in ([start] if start else _starts(N, D, L, E))]
    found = [solution(at, delta) for at in starts]
    if start is None:  # a narrow loss has many valleys: come to it from a wide one, too
        wide = min((solution(at, 1e-2) for at in starts), key=lambda found: found.cost)
        found.append(solution(solution(wide.x, 1e-3).x, delta))
    best = min(found, key=lambda found: found.cost)
    return law(best.x)


def _starts(N, D, L, E):
    """Yield laws at which the mean loss above E comes from N and D in equal parts."""
    N, D, middle = (np.exp(np.log(x).mean()) for x in (N, D, L))
    for share, alpha, beta in product((0.5, 0.9) if E is None else (1,), (0.2, 0.6), (0.2, 0.6)):
        floor = share * np.min(L) if E is None else E
        half = max(middle - floor, 1e-3 * middle) / 2
        yield Law(floor, half * N**alpha, half * D**beta, alpha, beta)


def bootstrap(N, D, L, E=None, samples=SAMPLES, seed=0, **options):
    """Yield the `Law` of each sample of as many runs, drawn with replacement."""
    rng, law = np.random.default_rng(seed), fit(N, D, L, E, **options)
    for _ in range(samples):
        i_R = rng.integers(0, len(N), len(N))
        yield fit(N[i_R], D[i_R], L[i_R], E, start=law, **options)


def interval(samples):
    """Return the two ends between which 95 % of the samples lie, NaNs apart."""
    if not np.isfinite(samples).any():
        return np.nan, np.nan
    return tuple(map(float, np.nanpercentile(samples, (2.5, 97.5))))


def lowest(N, L, nearest=4):
    """Return (size, loss) at the lowest point of a parabola in log N through the `nearest` runs
    about the best one; size is NaN if that point is not between them."""
    order = np.argsort(N)
    N, L = N[order], L[order]
    first = int(np.clip(L.argmin() - nearest // 2, 0, max(0, len(N) - nearest)))
    N, L = N[first : first + nearest], L[first : first + nearest]
    middle = np.log(N).mean()
    bend, slope, level = np.polyfit(np.log(N) - middle, L, 2)
    x = -slope / (2 * bend)
    inside = bend > 0 and np.log(N[0]) < x + middle < np.log(N[-1])
    return (float(np.exp(x + middle)) if inside else np.nan), float(level + slope * x / 2)
