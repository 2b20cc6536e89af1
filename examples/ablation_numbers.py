"""What the trainings of `08_ablations.py` say: numbers by row, differences, and a verdict for each
sentence of the document that the reader holds.

A verdict is by the test of pairs alone (`laboratory.paired`), at 5 % after a correction for the
number of tests (`laboratory.holm`); a p that is below 5 % only before it is a hint. With three
seeds only a difference that is several times its spread is found, so that "no difference found" is
not "equal". Of runs that diverge there are too few for a test: three of three against none have
p = 0.1 by Fisher's.
"""

import math
from typing import NamedTuple

from ablation_rows import AGAIN, EIGHT, NORMS, SEEDS, best_rate
from ablations import BASE, LONGEST, tokenizer
from laboratory import holm, key, paired, spread
from scaling_fit import power

from npgpt.config import GPTConfig
from npgpt.families.size import step_memory

SURE = 0.05
NOTHING = "no difference found"
COUNTS = ("none", "one", "two", "three", "four", "five", "six")


class Study:
    """The rows of a study, and what is known of them.    results: key of a trial -> result"""

    def __init__(self, rows, results, noise=()):
        self.results = results
        self.rows = {(row.group, row.label): row for row in rows}
        self.noise = [(t, results[key(t)]["noise"]) for t in noise if key(t) in results]
        self.found = {name: self._by_seed(row) for name, row in self.rows.items()}

    def _by_seed(self, row):
        """Return seed -> result, of those that are there; none before all rates have been tried."""
        if row.rates and len(self.rates_tried((row.group, row.label))) < len(row.rates):
            return {}
        rate = best_rate(row, self.results)
        trials = {seed: row.trials(seed, rate)[0] for seed in SEEDS}
        return {s: self.results[key(t)] for s, t in trials.items() if key(t) in self.results}

    def has(self, *names):
        return all(self.found.get(name) for name in names)

    def rate(self, name):
        """The learning rate of a row, and whether it is the least or largest that was tried."""
        row = self.rows[name]
        rate = (best_rate(row, self.results) or (row.changes.get("lr", BASE["lr"]),))[0]
        return rate, bool(row.rates) and rate in (row.rates[0], row.rates[-1])

    def of(self, name, measure="excess"):
        """Return one number for each seed; None where a training diverged or did not get there."""
        return [found[measure] for found in self.found[name].values()]

    def spread(self, name, measure="excess"):
        """Return the `Spread` over the seeds; None if a seed has no number."""
        numbers = self.of(name, measure)
        return None if None in numbers else spread(numbers)

    def difference(self, name, other=None, measure="excess", other_measure=None):
        """The `Difference` name - other over the seeds of both; None if a number is missing."""
        other = other or self.rows[name].against
        ours, theirs = self.found[name], self.found.get(other, {})
        seeds = [seed for seed in ours if seed in theirs]
        pairs = [(ours[s][measure], theirs[s][other_measure or measure]) for s in seeds]
        if not pairs or any(None in pair for pair in pairs):
            return None
        return paired(*zip(*pairs, strict=True))

    def rates_tried(self, name, seed=1):
        """Return learning rate -> result with the first seed."""
        trials = self.rows[name].trials(seed)
        return {t["lr"]: self.results[key(t)] for t in trials if key(t) in self.results}


class Verdict(NamedTuple):
    """sentence: of the document; difference: what it rests on, if on one; text: the numbers."""

    sentence: str
    verdict: str
    text: str
    difference: tuple | None = None
    unit: str = ""


class Claim(NamedTuple):
    """That a measure is lower for one row than for another, which the document's sentence says.

    sides   what the two rows are called where it is counted how many of their runs diverge
    """

    sentence: str
    low: tuple
    high: tuple
    measure: str = "excess"
    high_measure: str | None = None
    note: str = ""
    sides: tuple = ()


B = ("Base", "GPT: pre-norm, GELU, tied")


def _norm(name):
    return NORMS, name


def _again(name):
    return AGAIN, name


def _rate(rate):
    return "Learning rate", rate


CLAIMS = [
    Claim("Causal attention: without its mask a model cheats by looking ahead",
          ("Attention", "mask off"), B,
          note="Without the mask the loss falls below the entropy: that is how a leak shows."),
    Claim("Causal attention: necessary for autoregressive generation", B,
          ("Attention", "mask off"), high_measure="unled_excess",
          note="Of the model without a mask this is the loss when nothing stands after the word."),
    Claim("Pre-norm: more stable training", _norm("pre-norm, 4 blocks, no warm-up"),
          _norm("post-norm, 4 blocks, no warm-up")),
    Claim("Pre-norm: more stable training, with warm-up", _norm("pre-norm, 4 blocks"),
          _norm("post-norm, 4 blocks")),
    Claim("Pre-norm: allows training deeper models", _norm("pre-norm, 12 blocks"),
          _norm("post-norm, 12 blocks")),
    Claim("Pre-norm: allows training deeper models, without warm-up",
          _norm("pre-norm, 12 blocks, no warm-up"), _norm("post-norm, 12 blocks, no warm-up")),
    Claim("LayerNorm: stabilizes training", _norm("pre-norm, 4 blocks"),
          _norm("no-norm, 4 blocks")),
    Claim("LayerNorm: stabilizes training, 12 blocks", _norm("pre-norm, 12 blocks"),
          _norm("no-norm, 12 blocks")),
    Claim("Residual connections: help gradients flow", B, ("Residuals", "none")),
    Claim("Positions: a model has to be told them", B, ("Positions", "none")),
    Claim("Multi-head attention: better than one head", B, ("Heads", "1")),
    Claim("Multi-head attention: eight heads better than four", ("Heads", "8"), B),
    Claim("Scores are divided by √D", B, ("Attention", "scores undivided")),
    Claim("Tied embeddings: better performance", B, ("Output", "untied")),
    Claim("Tied embeddings: better performance, at equal parameters",
          ("Output", "tied, equal parameters"), ("Output", "untied")),
    Claim("GELU: better gradient flow than ReLU", B, ("Activation", "ReLU")),
    Claim("GELU: better gradient flow than ReLU, by steps", B, ("Activation", "ReLU"),
          "steps_to"),
    Claim("AdamW: adaptive learning rates per parameter", B, ("Optimizer", "SGD with momentum"),
          note="Both at a rate that was tried for them."),
    Claim("AdamW: decay beside the gradient, not in it", B, ("Optimizer", "Adam, L2 of 0.1")),
    Claim("AdamW: decay beside the gradient, against as much in it as suits it", B,
          ("Optimizer", "Adam, L2 of 0.0001")),
    Claim("AdamW: weight decay for regularization, on fresh text", B,
          ("Optimizer", "AdamW, no decay")),
    Claim("AdamW: weight decay for regularization, on a text read 50 times",
          _again("as the base"), _again("no decay")),
    Claim("Dropout, on a text read 50 times", _again("dropout 0.1"), _again("as the base")),
    Claim("Learning rate too high: training unstable", B, _rate("0.1")),
    Claim("Learning rate too low: training too slow", B, _rate("0.0001")),
    Claim("Learning rate: typical 1e-4 to 5e-4", _rate("0.0005"), B,
          note="That is for large models; small ones bear larger rates."),
    Claim("Batch size: smaller, more updates, at equal tokens", B,
          ("Batches, equal tokens", "32 stories")),
    Claim("Batch size: larger, more stable, at equal steps", ("Batches, equal steps", "32 stories"),
          B),
    Claim("Gradient clipping: prevents training instability", B, ("Clipping", "off")),
    Claim("Gradient clipping: prevents instability, with three bad batches",
          ("Clipping", "on, 3 bad batches"), ("Clipping", "off, 3 bad batches")),
    Claim("Gradient clipping: prevents instability, for SGD", ("Optimizer", "SGD with momentum"),
          ("Clipping", "off, SGD"), note="The rate was chosen with clipping.",
          sides=("With clipping", "without,")),
    Claim("More layers: fit a text read 8 times better, at equal steps and rate",
          (EIGHT, "12 blocks"), (EIGHT, "2 blocks"), "train_excess"),
    Claim("More layers: harder to train", B, ("Depth", "12 blocks"), "steps_to"),
    Claim("Warm-up helps, 12 blocks", _norm("pre-norm, 12 blocks"),
          _norm("pre-norm, 12 blocks, no warm-up")),
    Claim("Warm-up helps post-norm, 4 blocks", _norm("post-norm, 4 blocks"),
          _norm("post-norm, 4 blocks, no warm-up")),
    Claim("Warm-up helps post-norm, 12 blocks", _norm("post-norm, 12 blocks"),
          _norm("post-norm, 12 blocks, no warm-up")),
    Claim("Initial weights: 0.02 better than 0.2", B, ("Initial weights", "0.2")),
    Claim("Initial weights: 0.02 better than 1/√C", B, ("Initial weights", "1/√C")),
    Claim("Initial weights: better smaller at the end of a branch", B,
          ("Initial weights", "branches not scaled")),
    Claim("Llama's block against GPT's", ("Llama's parts", "all: Llama"), B),
    Claim("Llama's RMSNorm alone", ("Llama's parts", "RMSNorm"), B),
    Claim("Llama's rotary positions alone", ("Positions", "rotary"), B),
    Claim("Llama's SwiGLU alone", ("Activation", "SwiGLU"), B),
]


def verdicts(study):
    """Return a `Verdict` for each sentence of which there are numbers."""
    claims = [claim for claim in CLAIMS if study.has(claim.low, claim.high)]
    differences = [
        study.difference(claim.high, claim.low, claim.high_measure or claim.measure, claim.measure)
        for claim in claims
    ]
    corrected = iter(holm([difference.p for difference in differences if difference]))
    found = [
        claimed(study, claim, difference, decided(difference, next(corrected)))
        if difference else uncounted(study, claim)
        for claim, difference in zip(claims, differences, strict=True)
    ]
    return [verdict for verdict in found + [rule(study) for rule in RULES] if verdict]


def claimed(study, claim, difference, verdict):
    text = (f"{_described(study, claim.low, claim.measure)}; "
            f"{_described(study, claim.high, claim.high_measure or claim.measure)}. {claim.note}")
    unit = "steps" if claim.measure == "steps_to" else "nats"
    return Verdict(claim.sentence, verdict, text.strip(), difference, unit)


def uncounted(study, claim):
    """Return a verdict where a seed diverged, or did not get as far."""
    text = f"{_counted(study, claim)}. {claim.note}"
    return Verdict(claim.sentence, "too few to tell", text.strip())


def decided(difference, corrected):
    """Return the verdict by a difference and its p after the correction."""
    if difference.n < 2:
        return "one seed: no verdict"
    if difference.p > SURE:
        return NOTHING
    if corrected > SURE:
        return "a hint" if difference.mean > 0 else "a hint of the reverse"
    return "holds here" if difference.mean > 0 else "the reverse is so here"


def _counted(study, claim):
    """Return how many runs of both rows have no number, and the numbers where all have one."""
    sides = claim.sides or [f"{_label(name)}:" for name in (claim.low, claim.high)]
    measures = claim.measure, claim.high_measure or claim.measure
    found = zip(sides, (claim.low, claim.high), measures, strict=True)
    return "; ".join(
        f"{side} {runs_lost(study.of(name, measure), measure)}" for side, name, measure in found
    )


def runs_lost(numbers, measure="excess"):
    """Return how many of some runs diverged, or did not get there: they have None for a number.

    >>> runs_lost([0.04, 0.05, 0.06])
    'all three runs learn, to 0.0500 (0.0400 to 0.0600)'
    >>> runs_lost([None, 0.05, 0.06])
    'one of three diverges'
    >>> runs_lost([None, 0.05, None], "steps_to")
    'two of three do not get there'
    """
    steps, lost, n = measure == "steps_to", numbers.count(None), len(numbers)
    learn, one, several = (
        ("get there, in", "does not get there", "do not get there") if steps
        else ("learn, to", "diverges", "diverge")
    )
    if not lost:
        found = written(spread(numbers), "steps" if steps else "nats")
        return f"all {COUNTS[n]} runs {learn} {found}{' steps' * steps}"
    return f"{COUNTS[lost]} of {COUNTS[n]} {one if lost == 1 else several}"


def _label(name):
    return f"{name[1]} ({name[0]})" if name != B else "base"


def _described(study, name, measure):
    numbers, unit = study.of(name, measure), "steps" if measure == "steps_to" else "nats"
    if None in numbers:
        return f"{_label(name)}: {runs_lost(numbers, measure)}"
    return f"{_label(name)} {written(spread(numbers), unit)}"


def written(spread, unit="nats"):
    """Return a mean, and the least and largest of several."""
    form = "{:,.0f}" if unit == "steps" else "{:.4f}"
    mean = form.format(spread.mean)
    if spread.n == 1:
        return mean
    return f"{mean} ({form.format(spread.least)} to {form.format(spread.largest)})"


def _fewer_parameters(study):
    names = B, ("Output", "untied")
    if study.has(*names):
        tied, untied = (study.of(name, "parameters")[0] for name in names)
        return Verdict("Tied embeddings: fewer parameters", "holds, by counting",
                       f"{tied:,} against {untied:,}.")


def _slower(study):
    names = B, ("Depth", "12 blocks")
    if study.has(*names):
        base, deep = (study.of(name, "flops")[0] for name in names)
        return Verdict("More layers: slower", "holds, by counting",
                       f"12 blocks take {deep / base:.1f} times the FLOPs of 2.")


def _memory(study):
    config = GPTConfig(
        tokenizer().vocab_size, LONGEST, BASE["n_layer"], BASE["n_head"], BASE["n_embd"], bias=False
    )
    small, large = (step_memory(config, size).total / 1e6 for size in (4, 32))
    return Verdict("Batch size: larger needs more memory", "holds, by counting",
                   f"{small:.0f} MB for 4 stories, {large:.0f} MB for 32.")


def _reaching(study):
    """Stability by rates: of those that were tried, how many end within 1.05 of the entropy, and
    where the largest ends."""
    cells = [f"{n} blocks{warm_up}" for n in (4, 12) for warm_up in ("", ", no warm-up")]
    names = {kind: [_norm(f"{kind}-norm, {cell}") for cell in cells] for kind in ("pre", "post")}
    if not study.has(*names["pre"], *names["post"]):
        return None
    tried = {kind: [study.rates_tried(name) for name in names[kind]] for kind in names}
    good = {kind: [sum(r["steps_to"] is not None for r in of.values()) for of in tried[kind]]
            for kind in tried}
    ends = {kind: [of[max(of)]["excess"] or math.inf for of in tried[kind]] for kind in tried}
    more = [pre > post for pre, post in zip(good["pre"], good["post"], strict=True)]
    verdict = "holds here" if all(more) else "holds partly" if any(more) else "does not hold here"
    counted = ", ".join(
        f"{pre} and {post} of {len(of)} ({cell})"
        for pre, post, of, cell in zip(good["pre"], good["post"], tried["pre"], cells, strict=True)
    )
    return Verdict(
        "Pre-norm: more stable training, by rates that work", f"{verdict} (one seed)",
        "Rates with which pre-norm and post-norm reach 1.05 times the entropy: "
        f"{counted}. With the largest, pre-norm ends at {_range(ends['pre'], 2)} nats, post-norm "
        f"at {_range(ends['post'], 2)}.",
    )


def _range(numbers, digits):
    return f"{min(numbers):.{digits}f} to {max(numbers):.{digits}f}"


def _rates(study):
    """The learning rates that get there, and the plateau, the overflow and the NaN above them."""
    found = {float(label): (group, label) for group, label in study.found
             if group == "Learning rate" and study.has((group, label))}
    learned = [rate for rate, name in found.items() if None not in study.of(name, "steps_to")]
    if len(found) < 5 or len(learned) < 2:
        return None
    best, next_best = sorted(learned, key=lambda rate: study.spread(found[rate]).mean)[:2]
    p = study.difference(found[best], found[next_best]).p
    outside = min(found) < min(learned) and max(learned) < max(found)
    return Verdict(
        "Learning rate: too high or too low", "holds here" if outside else "does not hold here",
        f"Rates from {min(learned):g} to {max(learned):g} reach 1.05 times the entropy with every "
        f"seed; {best:g} comes closest, {'better than' if p < SURE else 'no different from'} "
        f"{next_best:g} (p = {p:.2f}). "
        + _above(study, {rate: found[rate] for rate in found if rate > max(learned)}),
    )


def _above(study, found):
    """Return a sentence on rates that are too large.    found: rate -> name of the row"""
    means = {rate: study.spread(name).mean for rate, name in found.items() if study.spread(name)}
    plateau = {rate: mean for rate, mean in means.items() if mean > 1}
    far = [rate for rate, name in found.items()
           if any(x and x > 1000 for curve in study.of(name, "curve") for x in curve)]
    stopped = [rate for rate, name in found.items() if any(study.of(name, "stopped"))]
    text = ""
    if plateau:
        text = (f"From {min(plateau):g} to {max(plateau):g} the loss ends on a plateau, "
                f"{_range(plateau.values(), 1)} nats above the entropy: a step of Adam is as long "
                "as the rate, however large the gradient.")
    if far:
        text += f" At {min(far):g} the loss passes 1,000 nats on its way."
    if stopped:
        text += f" At {', '.join(f'{rate:g}' for rate in stopped)} it ends as NaN."
    return text


def _noise(study):
    if study.noise:
        slopes = [power(t["sizes"], noise)[1] for t, noise in study.noise]
        return Verdict(
            "Batch size: smaller, noisier", "holds here" if max(slopes) < 0 else "does not hold",
            f"The noise of the gradient goes as B to the power {spread(slopes).mean:.2f} (1/√B: "
            f"-0.5); n = {len(slopes)}.",
        )


RULES = (_fewer_parameters, _reaching, _slower, _rates, _memory, _noise)
