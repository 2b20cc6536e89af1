"""What the trainings of `08_ablations.py` say: numbers by row, differences, and a verdict for each
sentence of the document that the reader holds.

A verdict is by the test of pairs alone (`laboratory.paired`), at 5 %. With three seeds only a
difference that is several times its spread is found, so that "no difference found" is not "equal".
"""

from typing import NamedTuple

from ablation_rows import AGAIN, EIGHT, NORMS, SEEDS, best_rate
from ablations import BASE
from laboratory import key, paired, spread
from scaling_fit import power

from npgpt.config import GPTConfig
from npgpt.model.size import step_memory

SURE = 0.05
COUNTS = ("none", "one", "two", "three", "four", "five", "six")


class Study:
    """The rows of a study, and what is known of them.    results: key of a trial -> result"""

    def __init__(self, rows, results, noise=()):
        self.results = results
        self.rows = {(row.group, row.label): row for row in rows}
        self.noise = [(t, results[key(t)]["noise"]) for t in noise if key(t) in results]
        self.found = {name: self._by_seed(row) for name, row in self.rows.items()}

    def _by_seed(self, row):
        """seed -> result, of those that are there; none before all rates have been tried."""
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
        """One number for each seed; None where a training diverged or did not get there."""
        return [found[measure] for found in self.found[name].values()]

    def spread(self, name, measure="excess"):
        """The `Spread` over the seeds; None if a seed has no number."""
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
        """learning rate -> result with the first seed."""
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
    Claim("Causal attention: can't cheat by looking ahead (how much lower a model without the mask "
          "gets)", ("Attention", "mask off"), B,
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
    Claim("Multi-head attention: better than one head", B, ("Heads", "1")),
    Claim("Scores are divided by √D", B, ("Attention", "scores undivided")),
    Claim("Tied embeddings: better performance", B, ("Output", "untied")),
    Claim("Tied embeddings: better performance, at equal parameters",
          ("Output", "tied, as many parameters as untied"), ("Output", "untied")),
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
          ("Clipping", "off, SGD"), sides=("With clipping", "without,")),
    Claim("More layers: fit a text read 8 times better, at equal steps and rate",
          (EIGHT, "12 blocks"), (EIGHT, "2 blocks"), "train_excess"),
    Claim("More layers: harder to train", B, ("Depth", "12 blocks"), "steps_to"),
    Claim("Warm-up helps, 12 blocks", _norm("pre-norm, 12 blocks"),
          _norm("pre-norm, 12 blocks, no warm-up")),
    Claim("Llama's block against GPT's", ("Llama's parts", "all: Llama"), B),
]  # fmt: skip


def verdicts(study):
    """A `Verdict` for each sentence of which there are numbers."""
    found = [claimed(study, claim) for claim in CLAIMS if study.has(claim.low, claim.high)]
    return [verdict for verdict in found + [rule(study) for rule in RULES] if verdict]


def claimed(study, claim):
    difference = study.difference(claim.high, claim.low, claim.high_measure or claim.measure,
                                  claim.measure)  # fmt: skip
    unit = "steps" if claim.measure == "steps_to" else "nats"
    if difference is None:
        text = f"{_counted(study, claim)}. {claim.note}".strip()
        return Verdict(claim.sentence, _without_numbers(study, claim), text, None, unit)
    text = (f"{_described(study, claim.low, claim.measure)}; "
            f"{_described(study, claim.high, claim.high_measure or claim.measure)}. {claim.note}")
    return Verdict(claim.sentence, decided(difference), text.strip(), difference, unit)


def decided(difference):
    if difference.n < 2:
        return "one seed: no verdict"
    if difference.p > SURE:
        return "no difference found"
    return "holds here" if difference.mean > 0 else "the reverse is so here"


def _without_numbers(study, claim):
    """Where a seed diverged, or did not get as far: it counts for the row of which all did."""
    low = None in study.of(claim.low, claim.measure)
    high = None in study.of(claim.high, claim.high_measure or claim.measure)
    if low and high:
        return "neither gets there"
    return "the reverse is so here, without a test" if low else "holds here, without a test"


def _counted(study, claim):
    """How many runs of both rows have no number, and the numbers where all have one."""
    sides = claim.sides or [f"{_label(name)}:" for name in (claim.low, claim.high)]
    measures = claim.measure, claim.high_measure or claim.measure
    found = zip(sides, (claim.low, claim.high), measures, strict=True)
    return "; ".join(
        f"{side} {runs_lost(study.of(name, measure), measure)}" for side, name, measure in found
    )


def runs_lost(numbers, measure="excess"):
    """How many of some runs diverged, or did not get there: they have None for a number.

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
    )  # fmt: skip
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
    """A mean, and the least and largest of several."""
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
                       f"{tied:,} against {untied:,}.")  # fmt: skip


def _slower(study):
    names = B, ("Depth", "12 blocks")
    if study.has(*names):
        base, deep = (study.of(name, "flops")[0] for name in names)
        return Verdict("More layers: slower", "holds, by counting",
                       f"12 blocks take {deep / base:.1f} times the FLOPs of 2.")  # fmt: skip


def _memory(study):
    config = GPTConfig(479, 53, BASE["n_layer"], BASE["n_head"], BASE["n_embd"], bias=False)
    small, large = (step_memory(config, size).total / 1e6 for size in (4, 32))
    return Verdict("Batch size: larger needs more memory", "holds, by counting",
                   f"{small:.0f} MB for 4 stories, {large:.0f} MB for 32.")  # fmt: skip


def _reaching(study):
    """Stability by rates: of those that were tried, how many end within 1.05 of the entropy."""
    names = {n: _norm(f"{n}-norm, 4 blocks, no warm-up") for n in ("pre", "post")}
    if not study.has(*names.values()):
        return None
    tried = {n: study.rates_tried(name) for n, name in names.items()}
    good = {n: sum(r["steps_to"] is not None for r in found.values()) for n, found in tried.items()}
    verdict = "no difference found"
    if good["pre"] != good["post"]:
        verdict = "holds here" if good["pre"] > good["post"] else "the reverse is so here"
    counted = ", ".join(f"{n}-norm with {good[n]} of {len(tried[n])}" for n in names)
    return Verdict("Pre-norm: more stable training, by rates that work", f"{verdict} (one seed)",
                   f"Without warm-up, 1.05 times the entropy is reached by {counted}.")  # fmt: skip


def _rates(study):
    """The learning rates that get there, those that are at the end, and where numbers run out."""
    found = {float(label): (group, label) for group, label in study.found
             if group == "Learning rate" and study.has((group, label))}  # fmt: skip
    learned = [rate for rate, name in found.items() if None not in study.of(name, "steps_to")]
    stopped = [rate for rate, name in found.items() if any(study.of(name, "stopped"))]
    if len(found) < 5 or not learned:
        return None
    best = min(learned, key=lambda rate: study.spread(found[rate]).mean)
    ends = f"at {stopped[0]:g} it is no number" if stopped else f"none up to {max(found):g} is NaN"
    outside = min(found) < min(learned) and max(learned) < max(found)
    return Verdict(
        "Learning rate: too high or too low", "holds here" if outside else "does not hold here",
        f"Rates from {min(learned):g} to {max(learned):g} reach 1.05 times the entropy with every "
        f"seed, {best:g} comes closest; the loss of others stays finite where the gradient is "
        f"clipped: {ends}.",
    )  # fmt: skip


def _noise(study):
    if study.noise:
        slopes = [power(t["sizes"], noise)[1] for t, noise in study.noise]
        return Verdict(
            "Batch size: smaller, noisier", "holds here" if max(slopes) < 0 else "does not hold",
            f"The noise of the gradient goes as B to the power {spread(slopes).mean:.2f} (1/√B: "
            f"-0.5); n = {len(slopes)}.",
        )  # fmt: skip


RULES = (_fewer_parameters, _reaching, _slower, _rates, _memory, _noise)
