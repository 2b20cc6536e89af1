"""The scaling study: its fit and its text on known numbers, and every number of its report."""

import importlib
import itertools
import re
from collections import Counter

import numpy as np
import pytest
import study_numbers as sn
from almanac import ALMANAC, LONGEST, Almanac, tokens
from laboratory import flops_text, key
from scaling_fit import Law, bootstrap, fit, interval
from scipy import optimize, stats

study = importlib.import_module("09_scaling_laws")
REPORT, CLAIMS = "09_scaling_laws.md", "CLAIMS.md"


def grid(budgets, sizes):
    """(C, N, D) of each size at each budget."""
    C, N = (x.ravel() for x in np.meshgrid(budgets, sizes, indexing="ij"))
    return C, N, C / (6 * N)


def test_published_constants_come_back_from_losses_made_with_them():
    law = Law(1.69, 406.4, 410.7, 0.34, 0.28)
    _, N, D = grid(np.geomspace(6e18, 3e21, 9), np.geomspace(7e7, 1.6e10, 20))
    assert fit(N, D, law.loss(N, D)) == pytest.approx(law, rel=1e-5)
    assert fit(N, D, law.loss(N, D), 1.69) == pytest.approx(law, rel=1e-5)


@pytest.mark.slow
def test_planted_constants_are_in_their_intervals():
    law = Law(0.8, 6.0, 60.0, 0.35, 0.4)
    C, N, D = grid(np.geomspace(1e11, 6.4e12, 4), np.geomspace(3e3, 1e6, 6))
    covered = []
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 0.003, len(N))
        L = law.loss(N, D) * np.exp(noise)
        middle, *samples = bootstrap(N, D, L, samples=60, seed=seed)
        for true, found in zip(law, zip(*samples, strict=True), strict=True):
            low, high = interval(found)
            covered.append(low < true < high)
        assert abs(middle.E / 0.8 - 1) < 0.05
    assert np.mean(covered) > 0.8  # 95 % if there were more than 24 runs


def test_the_rates_and_trials_are_the_registered_ones():
    assert [study.rate(C) for C in (1e11, 4e11, 1.6e12, 6.4e12, 2.6e13)] == [
        0.024, 0.014, 0.008, 0.0046, 0.0026]
    stored = {key(row["settings"]) for row in study.kept(study.RESULTS)}
    ahead = study.trial(study.PREDICTED[1], study.PREDICTED[0])
    asked = {"predict": study.PREDICTED[0], "channels": study.PREDICTED[1]}
    assert stored == {key(trial) for trial in (*study.trials(), asked, ahead)}


@pytest.mark.slow
def test_the_almanacs_entropy_is_that_of_what_it_writes():
    almanac = Almanac(**ALMANAC)
    told = almanac.stories(20_000, seed=3)
    nats = -np.array([almanac.grammar.log_probability(story) for story in told])
    length = np.array([len(almanac.tokenizer.encode(story)) for story in told])
    assert length.max() <= LONGEST
    assert almanac.mean_length == pytest.approx(17.5)
    assert list(length) == [tokens(story) for story in told]
    assert length.mean() == pytest.approx(almanac.mean_length, abs=4 * length.std() / 20_000**0.5)
    entropy, error = almanac.entropy * almanac.mean_length, nats.std() / 20_000**0.5
    assert abs(nats.mean() - entropy) < 4 * error < 0.02 * entropy
    assert all(almanac.form.parse(story) for story in told[:100])
    assert almanac.tokenizer.decode(almanac.ids(3, seed=3)) == "\n" + "".join(told[:3])


@pytest.mark.slow
def test_in_an_even_choice_of_stories_everybody_is_met_as_often_as_is_expected():
    almanac = Almanac(**ALMANAC)
    people, count = almanac.grammar.lists["person"], 4000

    leads = {person.lead for person in people}

    def misses(even):
        """Return the error of the number of meetings, for each of the first 20 people."""
        told = almanac.stories(count, seed=1, even=even)
        met = Counter(o.lead for story in told for o in almanac.grammar.parse(story)
                      if o.lead in leads)
        expected = [person.probability * met.total() for person in people[:20]]
        return np.abs(np.array([met[person.lead] for person in people[:20]]) - expected)

    assert misses(even=True).max() < 3 < 10 < misses(even=False).max()


# ---- the numbers of the report


@pytest.fixture(scope="module")
def scaling():
    """The registered study, at its rates."""
    return Scaling(sn.rows("09_scaling_laws.jsonl"), {
        1e11: 0.024, 4e11: 0.014, 1.6e12: 0.008, 6.4e12: 0.0046, 2.6e13: 0.0026})


@pytest.fixture(scope="module")
def first_scaling():
    """The record of the first edition, at the rates that are best for seed 1."""
    return Scaling(sn.rows("09_scaling_laws_first.jsonl"))


BUDGETS = 1e11, 4e11, 1.6e12, 6.4e12


class Scaling:
    """The almanac's runs by (flops, channels); numbers that the text quotes.

    rates    by budget; none: the one at which seed 1 ends lowest, at each size
    """

    def __init__(self, found, rates=None):
        self.rows = found
        self.cells = self.cells_of("almanac", rates)
        self.E = self.one(1e11, 8)["entropy"]
        self.noise = self.noise_at(BUDGETS)

    def cells_of(self, text, rates=None, until=None):
        runs = [(s, r) for s, r in self.rows[:until]
                if s.get("text") == text and "predict" not in s and "stories" not in s]
        cells = {}
        for at in sorted({(s["flops"], s["channels"]) for s, _ in runs}):
            same = [(s, r) for s, r in runs if (s["flops"], s["channels"]) == at]
            rate = rates[at[0]] if rates else min(
                (r["loss"], s["rate"]) for s, r in same if s["seed"] == 1)[1]
            seeds = {s["seed"]: r for s, r in same if s["rate"] == rate}
            loss = np.mean([r["loss"] for r in seeds.values()])
            one = seeds[1]
            cells[at] = {
                "flops": at[0], "rate": rate, "N": one["parameters"], "D": one["tokens"],
                "blocks": one["without embeddings"], "loss": loss, "excess": loss - one["entropy"],
                "by seed": {seed: r["excess"] for seed, r in seeds.items()}, "seeds": seeds,
                "rates": {s["rate"]: r["excess"] for s, r in same if s["seed"] == 1}}
        return cells

    def one(self, flops, channels):
        return self.cells[flops, channels]["seeds"][1]

    def noise_at(self, budgets):
        return np.sqrt(np.mean([
            np.var(list(c["by seed"].values()), ddof=1) / c["excess"] ** 2
            for c in self.cells.values() if c["flops"] in budgets and len(c["by seed"]) > 1]))

    def of(self, flops):
        """Return the cells of a budget, the smallest first."""
        return sorted((c for c in self.cells.values() if c["flops"] == flops),
                      key=lambda c: c["N"])

    def mean(self, flops, channels, value):
        return np.mean([value(r) for r in self.cells[flops, channels]["seeds"].values()], axis=0)

    def best_sizes(self, count="N", nearest=None, smaller=2):
        """Return the log sizes at the lowest points of parabolas in logarithms, each through all
        sizes of a budget, or through the `nearest` ones about the best, of which some are smaller.
        """
        sizes = []
        for flops in BUDGETS:
            some = self.of(flops)
            if nearest:
                least = min(range(len(some)), key=lambda i: some[i]["excess"])
                first = max(0, min(least - smaller, len(some) - nearest))
                some = some[first : first + nearest]
            log_N, log_excess = (np.log([c[k] for c in some]) for k in (count, "excess"))
            parabola = np.polynomial.Polynomial.fit(log_N, log_excess, 2).convert()
            sizes.append(parabola.deriv().roots()[0])
        return np.array(sizes)

    def exponent(self, *options):
        return stats.linregress(np.log(BUDGETS), self.best_sizes(*options)).slope


def law_of(cells, E=None, excess=False):
    """Return (E, log A, log B, alpha, beta) that fit cells, by scipy's minimizer: Huber's loss of
    the log loss, ever narrower, or least squares of the log excess."""
    N, D, L = (np.array([c[k] for c in cells], float) for k in ("N", "D", "loss"))
    n, d = np.log(N) - np.log(N).mean(), np.log(D) - np.log(D).mean()

    def error(theta):
        a, b, alpha, beta, *log_E = theta
        above = np.exp(a - alpha * n) + np.exp(b - beta * d)
        floor = np.exp(log_E[0]) if log_E else E
        return np.log(above / (L - E)) if excess else np.log((floor + above) / L)

    found = []
    for alpha, beta, widest in itertools.product((0.3, 0.8), (0.3, 0.6), (1e-3, 0.02, 0.3)):
        theta = [np.log(L.mean() / 4)] * 2 + [alpha, beta] + [np.log(L.min() / 1.3)] * (E is None)
        for narrow in np.geomspace(widest, 1e-3, 5):
            fit = optimize.least_squares(error, theta, loss="linear" if excess else "huber",
                                         f_scale=narrow, x_scale="jac", max_nfev=2000)
            theta = fit.x
        found.append((fit.cost, *theta))
    _, a, b, alpha, beta, *log_E = min(found)
    return (np.exp(log_E[0]) if log_E else E, a + alpha * np.log(N).mean(),
            b + beta * np.log(D).mean(), alpha, beta)


def excess_by(law, N, D, E):
    """Return what a law says of the loss above E."""
    floor, a, b, alpha, beta = law
    return floor - E + np.exp(a - alpha * np.log(N)) + np.exp(b - beta * np.log(D))


def table_of(name):
    """Return first cell -> {head: cell} of a table of the report."""
    head, _, *lines = ([cell.strip() for cell in line.strip("| ").split("|")]
                       for line in sn.tables_of(REPORT)[name].splitlines())
    return {line[0]: dict(zip(head, line, strict=True)) for line in lines}


def short(cell):
    """Return a cell with its numbers to two decimals, as sentences have them."""
    return re.sub(r"\d\.\d+", lambda x: f"{float(x[0]):.2f}", cell)


FITS = {  # name -> of `law_of`
    "log loss, Huber, E given": (True, False), "log loss, Huber, E fitted": (False, False),
    "log excess, least squares, E given": (True, True),
}


def test_every_quoted_number_comes_out_again(scaling, first_scaling):
    n, first = scaling, first_scaling
    sizes, fits = (table_of(name) for name in ("sizes", "fits"))
    ((_, told),) = ((s, r) for s, r in n.rows if "predict" in s)
    ahead = n.cells[2.6e13, 96]
    measured = f"{ahead['excess']:.4f}"
    errors = {name: told[name][0] / ahead["excess"] - 1 for name in FITS}
    of_the_loss = [abs((told[name][0] + n.E) / ahead["loss"] - 1) for name in FITS]
    assert max(of_the_loss) < 0.01
    assert all(told[name][1] < ahead["excess"] < told[name][2] for name in FITS)
    given, fitted, log_excess = (f"{100 * error:+.0f} %" for error in errors.values())
    grid = [c for c in n.cells.values() if c["flops"] in BUDGETS]
    laws = {name: law_of(grid, n.E if known else None, excess)
            for name, (known, excess) in FITS.items()}
    off = [np.sqrt(np.mean([
        (excess_by(law, c["N"], c["D"], n.E) / c["excess"] - 1) ** 2 for c in grid]))
        for law in laws.values()]
    misfits, of_medians, of_losses = [], [], []
    medians = [c | {"loss": n.E + np.median([*c["by seed"].values()])} for c in grid]
    for name, (E, _, _, alpha, beta) in laws.items():
        shown = [float(fits[name][key].split()[0]) for key in ("E", "alpha", "beta")]
        assert shown == pytest.approx([E, alpha, beta], abs=2e-3)
        left = [np.log(np.array([*c["by seed"].values()])
                       / excess_by(laws[name], c["N"], c["D"], n.E)) for c in grid]
        misfits.append(sn.misfit(left, 5 - FITS[name][0]))
        assert fits[name]["misfit"] == misfits[-1]
        law = law_of(medians, n.E if FITS[name][0] else None, FITS[name][1])
        of_medians.append(100 * excess_by(law, told["N"], told["D"], n.E) / ahead["excess"] - 100)
        of_losses.append(of_medians[-1] * ahead["excess"] / ahead["loss"])
        assert told[name][0] == pytest.approx(
            excess_by(laws[name], told["N"], told["D"], n.E), rel=5e-3)
    means = [x.mean() for x in left]  # of the last fit
    by_budget = [f"{np.mean([x for x, c in zip(left, grid, strict=True) if c['flops'] == C]):+.2f}"
                 for C in BUDGETS]
    exponents = []
    for name, count in (("parameters", "N"), ("without embeddings", "blocks")):
        ends = short(sizes[name]["exponent"]).split(" ", 1)[1]
        exponents.append(f"{n.exponent(count):.2f} {ends}")
    local = [sn.listed(np.diff(n.best_sizes(*options)) / np.diff(np.log(BUDGETS)), ".2f")
             for options in ((), ("N", 4), ("N", 4, 1))]
    E = fits["log loss, Huber, E fitted"]["E"]
    best = [min(c["excess"] for c in n.of(C)) for C in BUDGETS]
    left = 10 ** stats.linregress(np.log10(BUDGETS), np.log10(best)).slope
    apart = []
    for channels in (12, 64):
        x, y = ([n.cells[4e11, c]["by seed"][seed] for seed in (1, 2, 3)] for c in (channels, 24))
        ends = stats.ttest_rel(x, y).confidence_interval()
        assert (ends.low > 0) == (channels == 64)
        apart.append(f"{np.mean(x) - np.mean(y):.3f} ({ends.low:.3f} to {ends.high:.3f})")
    for C, small, best_size in ((1e11, 12, 24), (1.6e12, 16, 32), (6.4e12, 24, 64)):
        x, y = ([n.cells[C, c]["by seed"][seed] for seed in (1, 2, 3)] for c in (small, best_size))
        assert stats.ttest_rel(x, y).confidence_interval().low > 0
    noises = n.noise, n.noise_at([6.4e12])
    seeds_apart = f"{100 * noises[1]:.0f} to {100 * noises[0]:.0f} %"
    same_size = list(n.cells[6.4e12, 96]["by seed"].values())
    same_size = 100 * np.std(same_size, ddof=1) / np.mean(same_size)
    spans = [told[name][2] / told[name][1] for name in FITS]
    of_entropy = f"{100 * n.E / ahead['loss']:.0f} %"
    halves = [at for at, (s, _) in enumerate(n.rows) if s.get("rate") == 0.0023]
    grid_at = [at for at, (s, _) in enumerate(n.rows) if s.get("seed") in (2, 3)]
    assert {n.rows[at][0]["seed"] for at in halves} == {1} and min(halves) > max(grid_at)
    halved = [(c["rates"][0.0023], c["rates"][0.0046]) for c in n.of(6.4e12)]
    ratio = np.log([half / whole for half, whole in halved])
    reach = stats.t.ppf(0.975, len(ratio) - 1) * stats.sem(ratio)
    half = [f"{100 * (np.exp(x) - 1):+.0f} %"
            for x in (ratio.mean(), ratio.mean() - reach, ratio.mean() + reach)]
    largest_channels = [24, 32, 48, 64, 96]
    shares, forms = ([round(100 * n.mean(6.4e12, c, lambda r, k=k: r["written"][k]))
                      for c in largest_channels]
                     for k in ("derived", "form"))
    assert set(forms) == {99}
    facts, later_facts = (
        [f"{100 * x:.0f} %" for x in n.mean(*at, lambda r: [x for x, _ in r["right"]["fact"]])]
        for at in ((6.4e12, 48), (2.6e13, 96)))
    assert facts[:2] == later_facts[:2] == ["100 %", "100 %"]
    read = "{:.0f} to {:.0f} million tokens".format(
        *(n.cells[6.4e12, c]["D"] / 1e6 for c in (24, 96)))
    def right(*at):
        return 100 * n.mean(*at, lambda r: r["written"]["derived"])

    few, many = [(1e11, 16), (1.6e12, 96)], [(4e11, 12), (1.6e12, 32), (6.4e12, 64)]
    assert all(np.diff([[n.cells[at]["N"], right(*at)] for at in cells], axis=0).min() > 0
               for cells in (few, many))  # larger models are right more often
    tokens = [np.sort([n.cells[at]["D"] / 1e6 for at in cells])[[0, -1]] for cells in (few, many)]
    tokens = ["{:.1f} to {:.1f} M".format(*ends) for ends in tokens]
    of_1e11 = [right(1e11, channels) for channels in (8, 12, 16, 24, 32, 48)]
    equal_text = [
        " ".join([tokens[0], *(f"{right(*at):.0f} % {n.cells[at]['N']:,}" for at in few)]),
        f"{tokens[1]} {sn.listed([right(*at) for at in many], '.0f')} % "
        + sn.listed([n.cells[at]["N"] for at in many], ",")]
    cell_of_texts = np.std([*n.cells[1.6e12, 48]["by seed"].values()], ddof=1)
    tie = [n.cells[6.4e12, c]["excess"] for c in (48, 64)]
    jumps = []
    for at, seed in (((4e11, 32), 1), ((1.6e12, 48), 2)):
        one = dict(n.cells[at]["by seed"])
        jumps.append(f"{n.cells[at]['N']:,} parameters {one.pop(seed):.3f} with seed {seed} "
                     f"{sn.listed(one.values(), '.3f')} with the others")
    texts = {r["characters"]: r for s, r in first.rows
             if "stories" in s and s["text"] == "almanac"}
    kB9, kB94, kB938, MB9 = (texts[size] for size in sorted(texts))
    endless = first.cells[1.6e12, 48]["excess"]
    assert kB94["excess on text read"] < 0 < kB938["excess on text read"]
    assert kB9["excess on text read"] < 0
    apart_MB9 = f"{MB9['excess'] - MB9['excess on text read']:.3f}"
    more = [f"{100 * (of['excess'] / endless - 1):.0f} %" for of in (kB938, MB9)]
    edges = [c["rate"] in (min(c["rates"]), max(c["rates"])) for c in first.cells.values()
             if len(c["rates"]) > 1 and c["flops"] < 2e13]
    lines = [
        f"| {flops_text(c['flops'])} | {c['N']:,} | {c['D'] / 1e6:.2f} M | {c['rate']:g} | "
        f"{c['excess']:.4f} | {np.std(list(c['by seed'].values()), ddof=1):.4f} |" for c in grid]
    lines += [
        f"| {name} | {told[name][0]:.4f} | {told[name][1]:.4f} to {told[name][2]:.4f} | {measured} "
        f"| {100 * errors[name]:+.0f}% |" for name in FITS]
    lines += [f"| {name} | " + " | ".join(f"{x:,.0f}" for x in np.exp(n.best_sizes(count)))
              for name, count in (("parameters", "N"), ("without embeddings", "blocks"))]
    for line in lines:
        assert line in sn.report(REPORT), line
    for flops in (*BUDGETS, 2.6e13):
        c = min(n.of(flops), key=lambda c: c["excess"])
        form, derived = (np.mean([r["written"][k] for r in c["seeds"].values()])
                         for k in ("form", "derived"))
        assert (f"| {flops_text(flops)} | {c['N']:,} | {c['D'] / 1e6:.1f} M | {c['excess']:.3f} | "
                f"{form:.0%} | {derived:.0%} |") in sn.report(sn.CONCEPTS)
    sizes_of_the_largest = [n.cells[6.4e12, c]["N"] for c in largest_channels]
    writes = f"{read} write {sn.listed(shares, 'd')} % of stories"
    gaps = [kB938["excess"] - endless, MB9["excess"] - endless]
    sn.assert_says(
        sn.CONCEPTS,
        f"130,624 parameters {apart[1]} nats 25,944 9,516 {apart[0]}",
        f"C^{exponents[0][:-1]}",
        f"from {sn.listed(best, '.3f')} ten times {100 * left:.0f} %",
        f"{len(grid)} pairs more than seeds", f"20,000 times, {misfits[2].split(', ')[-1]}",
        " ".join([tokens[0], *(f"{n.cells[at]['N']:,} {right(*at):.0f} %" for at in few)]),
        f"loss to 1 % excess {given[:-2]} {fitted[:-2]} and {log_excess} Seeds {seeds_apart}",
        f"{n.cells[1e11, 48]['excess']:.3f} 938 kB {kB938['excess']:.3f} after 14 {endless:.3f} "
        f"fresh deviate {cell_of_texts:.3f} 1,420 readings 9 kB {kB9['excess']:.2f}",
        f"often {facts[2]} next 900 {facts[3]} rest")
    sn.assert_says(
        REPORT,
        f"log excess {log_excess} log loss {given} (E given) {fitted} (E fitted) factors "
        f"{min(spans):.1f} to {max(spans):.1f}",
        f"for the best {misfits[2]}",
        f"{min(means):+.2f} to {max(means):+.2f} in logs, by budget {' '.join(by_budget)} mean",
        f"Seeds differ by {100 * n.noise:.0f} % largest budget {100 * noises[1]:.0f} %",
        f"miss the loss 1 % {of_entropy}",
        f"power {exponents[0]} embeddings {exponents[1]}",
        f"E is {E} exactly {n.E:.3f}",
        f"largest budget {half[0]} ({half[1]} to {half[2]}) not shown beyond {half[2][1:]}",
        f"entropy {n.E:.4f} nats",
        f"ends at {measured} error {ahead['seeds'][1]['error']:.4f}",
        f"between seeds {100 * n.noise:.1f} % {100 * noises[1]:.1f} % {same_size:.1f} %",
        "medians miss by {:+.0f} % {:+.0f} % {:+.0f} % order {:.1f} % of the loss".format(
            *of_medians, of_losses[1]),
        f"So {log_excess} may be luck",
        f"fits miss {sn.listed([100 * x for x in off], '.0f')} % three seeds "
        f"{100 * n.noise / 3**0.5:.0f} %",
        f"{len(grid)} cells of the grid",
        f"130,624 parameters {sn.listed(tie, '.4f')}",
        *jumps,
        f"half the rate five sizes {sn.listed([x for x, _ in halved], '.4f')} "
        f"{sn.listed([x for _, x in halved], '.4f')} rule's rate",
        f"{sum(edges)} of {len(edges)} cells edge",
        f"25,944 parameters {n.cells[6.4e12, 24]['D'] / 21e6:.1f} times 40,736 "
        f"{n.cells[6.4e12, 32]['D'] / 21e6:.1f}",
        f"parameters is {local[0]} four sizes {local[1]} larger ones {local[2]}",
        f"1e11 FLOPs the six sizes write {sn.listed(of_1e11, '.0f')} %",
        *equal_text,
        f"FLOPs {sn.listed(sizes_of_the_largest, ',')} parameters {writes} 99 %",
        f"6.4e12 FLOPs {n.cells[6.4e12, 48]['N']:,} parameters know 100 % 100 {facts[2]} 900 "
        f"{facts[3]} rest 2.6e13 {later_facts[2]} 900 {later_facts[3]} rest",
        f"log loss {given} E given {fitted} E fitted log excess {log_excess} seeds "
        f"{100 * n.noise:.0f} % {measured} "
        + " ".join("{:.4f} to {:.4f}".format(*told[name][1:]) for name in FITS),
        f"| E fitted {E.split()[0]} | {E.split('(')[1][:-1]} |",
        f"seeds differ by {100 * n.noise:.1f} % |",
        f"half the rate {half[0]} | {half[1]} to {half[2]} five",
        f"best size as FLOPs^{exponents[0].split()[0]} | {exponents[0].split('(')[1][:-1]} |",
        f"through four {n.exponent('N', 4):.2f}",
        f"without end {endless:.3f} texts of 9 94 938 9,400 kB "
        f"{sn.listed([r['excess'] for r in (kB9, kB94, kB938, MB9)], '.3f')}",
        f"{kB9['excess on text read']:.3f} at 9 kB {kB94['excess on text read']:.3f} at 94",
        f"938 kB {kB938['tokens'] / (13_000 * 17.5):.0f} readings "
        f"{kB938['excess on text read']:.3f} {kB938['excess']:.3f} other {more[0]}",
        f"9.4 MB {more[1]} differ by {apart_MB9}", f"one run each deviation of {cell_of_texts:.3f}")
    sn.assert_says(
        CLAIMS,
        f"often 100% next 900 {facts[2].replace(' ', '')} rest {facts[3].replace(' ', '')}",
        f"fitted E is {E} exactly {n.E:.3f} {misfits[2]}",
        "4e11 FLOPs {0:,} parameters {3} nats {1:,} {2:,} {4}".format(
            *(n.cells[4e11, channels]["N"] for channels in (64, 24, 12)), *reversed(apart)),
        f"excess {given[:-2]} {fitted[:-2]} {log_excess} seeds {seeds_apart} {of_entropy}",
        f"{sn.listed(best, '.3f')} four times",
        f"{exponents[0]} one power {' '.join(local)}",
        f"938 kB 80,000 parameters {gaps[0]:.3f} {more[0]} 9.4 MB {gaps[1]:.3f} one run each "
        f"{cell_of_texts:.3f}",
        f"25,944 to 269,664 parameters {sn.listed(shares, 'd')} %", *equal_text)


@pytest.mark.slow
def test_the_tables_of_the_first_edition_come_out_again(first_scaling):
    report = sn.report(REPORT)
    record = report[report.index("## The first edition"):]
    counted = Counter("predict" in s for s, _ in first_scaling.rows)
    sn.assert_says(REPORT, f"Its {counted[False]} trainings four predictions")
    assert counted[True] == 4
    cells = {text: list(first_scaling.cells_of(text).values())
             for text in ("first text", "second text", "almanac", "long tail")}
    found = [*predictions_of(first_scaling)]
    for text, some in cells.items():
        grid = largest(some)
        entropy, E = some[0]["seeds"][1]["entropy"], law_of(grid)[0]
        runs = sum(s.get("text") == text and not {"predict", "stories"} & {*s}
                   for s, _ in first_scaling.rows)
        found.append(f"| {text} | {runs} | {len(grid)} | {entropy:.4f} | {E:.3f} | "
                     f"{100 * (E / entropy - 1):+.1f} % |")
    for line in found:
        assert line in record, line
    tables = [line for line in record.splitlines() if line.startswith("| ")]
    assert len(tables) == len(found) + 2 * 2 + 12  # heads, and the table of changes


def largest(cells, count=3, below=np.inf):
    """Return the cells of the largest budgets that have three sizes or more."""
    sizes = Counter(c["flops"] for c in cells if c["flops"] < below)
    budgets = sorted(C for C in sizes if sizes[C] > 2)[-count:]
    return [c for c in cells if c["flops"] in budgets]


def predictions_of(n):
    """Yield the lines of the four predictions; look up what is said of them."""
    errors, of_the_loss, held, by_log_excess = [], [], 0, []
    for at in (at for at, (s, _) in enumerate(n.rows) if "predict" in s):
        asked, told = n.rows[at]
        same = {s["rate"]: r for s, r in n.rows if s.get("flops") == asked["predict"]
                and (s["text"], s["channels"], s["seed"]) == (asked["text"], told["channels"], 1)}
        planned, *later = sorted(same, reverse=True)
        run, ways = same[planned], [told["E given"], told["E free"]]
        errors += (miss := [(loss - run["entropy"]) / run["excess"] - 1 for loss, *_ in ways])
        of_the_loss += [abs(loss / run["loss"] - 1) for loss, *_ in ways]
        held += sum(low < run["loss"] < high for _, low, high in ways)
        shown = ["{:.4f} ({:.3f} to {:.3f})".format(*(np.array(way) - run["entropy"]))
                 for way in ways]
        after = " | "
        for rate in later:
            half = [(loss - run["entropy"]) / same[rate]["excess"] - 1 for loss, *_ in ways]
            after = (f"{same[rate]['excess']:.4f} at {rate:g} | "
                     + ", ".join(f"{100 * x:+.1f} %" for x in half))
        yield (f"| {asked['text']} | {flops_text(asked['predict'])} | {told['parameters']:,} | "
               f"{' | '.join(shown)} | {run['excess']:.4f} at "
               f"{planned:g} | {' | '.join(f'{100 * x:+.1f} %' for x in miss)} | {after} |")
        grid = largest(n.cells_of(asked["text"], until=at).values(), below=asked["predict"])
        law = law_of(grid, run["entropy"], excess=True)
        by_log_excess.append(excess_by(
            law, told["parameters"], told["tokens"], run["entropy"]) / run["excess"] - 1)
    sizes = sorted(map(abs, errors))
    assert held == 5 and sum(x <= 0.03 for x in sizes) == 1
    sn.assert_says(REPORT, f"errors {100 * sizes[0]:.0f} to {100 * sizes[-1]:.0f} % of the excess "
                           f"{100 * min(of_the_loss):.1f} to {100 * max(of_the_loss):.1f} %")
    off = sorted(abs(100 * x) for x in by_log_excess)
    sn.assert_says(REPORT, f"four runs {off[0]:.0f} to {off[-1]:.0f} %",
                   "four by {:+.0f} % {:.0f} % {:.0f} % {:.0f} %".format(
                       *(100 * x for x in by_log_excess)))
