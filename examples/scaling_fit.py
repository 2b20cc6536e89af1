"""The fit of a scaling law, L(N, D) = E + A / N**alpha + B / D**beta, and what follows from one.

    N  parameters    D  tokens read    L  loss in nats per token

As Hoffmann et al. fitted theirs: Huber's loss of the errors of log L, from several starts. Here
each step is one of Gauss and Newton, damped as Levenberg and Marquardt do, and the fits of all
bootstrap samples go side by side.

Source: Hoffmann et al., Training Compute-Optimal Large Language Models, 2022, section 3.3; the
bootstrap as in Besiroglu et al., Chinchilla Scaling: A Replication Attempt, 2024.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

DELTA = 1e-3  # an error of log L counts by its square below, and by its size above
STEPS = 100
SAMPLES = 500  # of the bootstrap
LEVEL = 95  # % of the samples that are in an interval


class Law(NamedTuple):
    """The five constants, numbers or arrays of the same shape."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, N, D):
        return self.E + self.A / N**self.alpha + self.B / D**self.beta

    @property
    def exponent(self):
        """Return the best N for a budget of C = 6 N D FLOPs grows as C to this power."""
        return self.beta / (self.alpha + self.beta)

    def best_size(self, flops):
        """Return the N of the least loss, where N D = flops / 6."""
        ratio = self.alpha * self.A / (self.beta * self.B)
        return ratio ** (1 / (self.alpha + self.beta)) * (flops / 6) ** self.exponent


def fit(N, D, L, floor=None, delta=DELTA):
    """Return the `Law` of the least error.    N, D, L: (R,) of each run

    floor    E, if it is known; else it is fitted, too
    delta    of Huber's loss; if no error is as large, it is that of least squares
    """
    once, starts = np.ones((1, len(N))), _starts(N, D, L, floor)
    return Law(*(x[0] for x in _fits(N, D, L, floor, once, starts, delta)))


def bootstrap(N, D, L, floor=None, delta=DELTA, samples=SAMPLES, seed=0):
    """The `Law`s of so many samples, each of as many runs, drawn with repetition: arrays in a Law.

    Each fit starts from that of all runs.
    """
    R, law = len(N), fit(N, D, L, floor, delta)
    counts = np.random.default_rng(seed).multinomial(R, np.full(R, 1 / R), samples)
    return Law(*_fits(N, D, L, floor, counts, [law], delta))


def _fits(N, D, L, floor, counts_MR, starts, delta):
    """The constants, (M,) each, by runs that count as often as `counts_MR` says, in M fits."""
    n_R, d_R, y_R = (np.log(np.asarray(x, float)) for x in (N, D, L))
    middle_n, middle_d = n_R.mean(), d_R.mean()  # sizes around 1: else A and alpha hang together
    found = []
    for E, A, B, alpha, beta in starts:
        a, b = np.log(A) - alpha * middle_n, np.log(B) - beta * middle_d
        theta_M5 = np.tile([np.log(E), a, b, alpha, beta], (len(counts_MR), 1))
        sizes = n_R - middle_n, d_R - middle_d
        found.append(_descend(theta_M5, *sizes, y_R, counts_MR, floor, delta))
    best_M = np.argmin([error_M for _, error_M in found], axis=0)
    theta_SM5 = np.array([theta_M5 for theta_M5, _ in found])
    e, a, b, alpha, beta = theta_SM5[best_M, np.arange(len(counts_MR))].T
    return np.exp(e), np.exp(a + alpha * middle_n), np.exp(b + beta * middle_d), alpha, beta


def _starts(N, D, L, floor):
    """Laws to begin with, for which half of the middle loss above E is owed to N, half to D."""
    n, d, middle = (np.exp(np.log(x).mean()) for x in (N, D, L))
    for share, alpha, beta in product((0.5, 0.9), (0.2, 0.6), (0.2, 0.6)):
        E = share * np.min(L) if floor is None else floor
        half = max(middle - E, 1e-3 * middle) / 2
        yield Law(E, half * n**alpha, half * d**beta, alpha, beta)


def _descend(theta_M5, n_R, d_R, y_R, counts_MR, floor, delta):
    """Return (the constants, the error of each fit) after STEPS steps from some constants."""
    free = slice(0 if floor is None else 1, 5)
    if floor is not None:
        theta_M5[:, 0] = np.log(floor)
    damping_M = np.full(len(theta_M5), 1e-2)
    residual_MR, slope_MR5 = _residuals(theta_M5, n_R, d_R, y_R)
    error_M = _huber(residual_MR, counts_MR, delta)
    for _ in range(STEPS):
        size_MR = np.maximum(np.abs(residual_MR), delta)
        weight_MR = counts_MR * delta / size_MR  # by which a square has Huber's gradient
        J = slope_MR5[:, :, free]
        H = np.einsum("mr,mri,mrj->mij", weight_MR, J, J)
        gradient = np.einsum("mr,mri->mi", weight_MR * residual_MR, J)
        diagonal = np.arange(H.shape[1])
        H[:, diagonal, diagonal] *= 1 + damping_M[:, None]
        H[:, diagonal, diagonal] += 1e-12
        step = np.linalg.solve(H, gradient[:, :, None])[:, :, 0]
        tried_M5 = theta_M5.copy()
        tried_M5[:, free] -= np.clip(step, -1, 1)
        tried_M5[:, 3:] = np.clip(tried_M5[:, 3:], 1e-3, 5)
        tried, slopes = _residuals(tried_M5, n_R, d_R, y_R)
        tried_error_M = _huber(tried, counts_MR, delta)
        better_M = tried_error_M < error_M
        damping_M = np.clip(np.where(better_M, damping_M / 3, damping_M * 4), 1e-9, 1e9)
        theta_M5[better_M], residual_MR[better_M] = tried_M5[better_M], tried[better_M]
        slope_MR5[better_M], error_M[better_M] = slopes[better_M], tried_error_M[better_M]
    return theta_M5, error_M


def _residuals(theta_M5, n_R, d_R, y_R):
    """Return log L by the law less that of the runs, (M, R), and its slopes (M, R, 5)."""
    e, a, b, alpha, beta = theta_M5.T[:, :, None]
    terms = np.exp(np.stack(np.broadcast_arrays(e + 0 * n_R, a - alpha * n_R, b - beta * d_R)))
    law_MR = terms.sum(axis=0)
    E, A, B = terms / law_MR
    return np.log(law_MR) - y_R, np.stack([E, A, B, -A * n_R, -B * d_R], axis=-1)


def _huber(residual_MR, counts_MR, delta):
    size_MR = np.abs(residual_MR)
    each = np.where(size_MR < delta, size_MR**2 / 2, delta * (size_MR - delta / 2))
    return (counts_MR * each).sum(axis=1)


def interval(samples):
    """Return the two ends between which LEVEL % of the samples are."""
    tail = (100 - LEVEL) / 2
    low, high = np.nanpercentile(samples, (tail, 100 - tail))
    return float(low), float(high)


class Valley(NamedTuple):
    """The best size by the losses of one budget: the lowest point of a parabola in log N."""

    size: float
    loss: float
    inside: bool  # between the least and the largest size that was tried


def valley(N, L, nearest=None):
    """The `Valley` of a budget's runs.    nearest: only so many runs about the best one, or all"""
    N, L = np.asarray(N, float), np.asarray(L, float)
    order = np.argsort(N)
    N, L = N[order], L[order]
    if nearest and nearest < len(N):
        first = int(np.clip(L.argmin() - nearest // 2, 0, len(N) - nearest))
        N, L = N[first : first + nearest], L[first : first + nearest]
    middle = np.log(N).mean()
    bend, slope, level = np.polyfit(np.log(N) - middle, L, 2)
    x = -slope / (2 * bend)
    inside = bend > 0 and np.log(N[0]) < x + middle < np.log(N[-1])
    return Valley(float(np.exp(x + middle)), float(level + slope * x / 2), bool(inside))


def power(x, y):
    """Return (k, p) of y = k * x**p through some points, by least squares of the logarithms."""
    p, log_k = np.polyfit(np.log(x), np.log(y), 1)
    return float(np.exp(log_k)), float(p)


def falling(x, y):
    """(c, k, p) of y = c + k / x**p through some points, by least squares; p is searched for."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    found = []
    for p in np.geomspace(0.02, 3, 400):
        terms = np.stack([np.ones_like(x), (x / x[0]) ** -p], axis=1)
        (c, k), *_ = np.linalg.lstsq(terms, y, rcond=None)
        found.append((np.sum((terms @ (c, k) - y) ** 2), float(c), float(k * x[0] ** p), float(p)))
    return min(found)[1:]
