"""The trials of the reward study: a grammar with all its stories, a tiny GPT, exact measures.

A trial is a dict of settings with its `arm` and `seed`; `measured` trains it and returns what came
out. All sums over stories are in float64.
"""

import json
import re
from functools import cache

import numpy as np
from scipy import stats

from autograd import exp
from npgpt import GPT, GPTConfig, TrainConfig
from npgpt.fast.weights import use_weights
from npgpt.ngram import NgramModel
from npgpt.optim import make_optimizer
from npgpt.reward.draws import PAD, Rewarded, draw_stories, frozen_log_probs, shifted
from npgpt.reward.losses import advantages, log_probs
from npgpt.reward.verify import GrammarVerifier, Verdict
from npgpt.tales import END
from npgpt.tales.grammar import Grammar
from npgpt.train import training_steps

HE, SHE = {"he": "he", "his": "his"}, {"he": "she", "his": "her"}


def weighted(*words):
    """Options, each twice as frequent as the next; a word may come with its traits."""
    rows = [word if isinstance(word, tuple) else (word, {}) for word in words]
    return [(*row, 2.0 ** (len(rows) - i)) for i, row in enumerate(rows)]


LISTS = {
    "hero": weighted(("King", HE), ("Queen", SHE), ("Duke", HE), ("Dame", SHE)),
    "time": weighted("day", "night"),
    "thing": weighted("coat", "ring", "lamp"),
    "land": weighted("Bor", "Vel", "Nor"),
    "mood": weighted("shy", "bold", "wise"),
    "animal": weighted("cat", "dog", "hen", "fox"),
    "kindness": weighted("fed", "kissed", "paid"),
    "woe": weighted(("tired", {"cure": "slept in", "by": "bed"}),
                    ("hungry", {"cure": "ate", "by": "pie"}),
                    ("thirsty", {"cure": "drank", "by": "tea"})),
    "story": weighted(
        "One {:time} {h:hero} lost {h.his} {:thing} in {:land}. A {:mood} {p:animal} found it, so "
        "{h.he} {:kindness} the {p}" + END,
        "A {:mood} {:animal} was {w:woe}, so it {w.cure} the {w.by}. Then {:hero} led it to {:land}"
        + END,
        "In {:land} {:hero} met a {:mood} {:animal}" + END,
    ),
}
RARE = "Dame"  # the hero of a fifteenth of the stories
LONGEST, GROUP, STEPS, EVERY = 24, 64, 60, 10
BEGINNING = 4  # tokens of a story that pass@k continues
KS = [4**i for i in range(6)]
MODEL = {"n_layer": 1, "n_head": 2, "n_embd": 24, "bias": False}
START = {"read": 300, "steps": 180, "lr": 1e-2}
TRAINING = {"max_iters": STEPS, "batch_size": GROUP, "warmup_iters": 5, "weight_decay": 0.0,
            "min_lr": 0.0}
DRAWN, GROUPS = 100_000, 16  # stories, and groups of each size, for the gradients


def pieces(text):
    return re.findall(r" ?[A-Za-z]+|[.\n]+|,", text)


class Language:
    """A grammar with all its stories, probabilities, and a token for each word."""

    def __init__(self, lists):
        self.grammar = Grammar(lists)
        self.stories = list(_texts(self.grammar))
        self.p_S = np.exp([self.grammar.log_probability(story) for story in self.stories])
        words = sorted({piece for story in self.stories for piece in pieces(story)})
        self.tokens, self.ids = [w.encode() for w in words], {w: i for i, w in enumerate(words)}
        self.prompt_P = [self.ids[END]]
        rows = [self.prompt_P + self.encode(story) for story in self.stories]
        self.ids_ST = np.full((len(rows), LONGEST + 1), PAD)
        for row, ids in zip(self.ids_ST, rows, strict=True):
            row[: len(ids)] = ids
        self.ids_ST = self.ids_ST[:, : max(map(len, rows))]
        self.rare_S = np.array([RARE in story for story in self.stories])
        self.known = {tuple(ids[1:]): rare for ids, rare in zip(rows, self.rare_S, strict=True)}

    def encode(self, text):
        return [self.ids[piece] for piece in pieces(text)]

    def drawn(self, count, rng, p_S=None):
        """Return the rows of stories drawn from the grammar, or with other probabilities."""
        p_S = self.p_S if p_S is None else p_S
        return self.ids_ST[rng.choice(len(p_S), count, p=p_S / p_S.sum())]


def _texts(grammar):
    """Yield every text of a grammar, by counting through the options of each choice."""
    picks = []
    while True:
        sizes = []

        def choose(options, _, sizes=sizes):
            if len(sizes) == len(picks):
                picks.append(0)
            sizes.append(len(options))
            return options[picks[len(sizes) - 1]]

        yield grammar.write(choose)
        while picks and picks[-1] == sizes[len(picks) - 1] - 1:
            picks.pop()
        if not picks:
            return
        picks[-1] += 1


@cache
def language():
    return Language(LISTS)


class Verifier(GrammarVerifier):
    """The grammar's verdict by a table.    kind: "grammar", "rare" or "proxy", a trigram's score"""

    def __init__(self, of, kind, seed):
        super().__init__(of, of.grammar)
        self.of, self.kind = of, kind
        if kind == "proxy":
            rows = of.drawn(START["read"], np.random.default_rng((seed, 0)))
            self.trigram = NgramModel(rows[rows != PAD], len(of.tokens), 3)

    def __call__(self, ids):
        rare = self.of.known.get(tuple(ids))
        right = rare is not None
        if self.kind == "proxy":
            return Verdict(-self.trigram.loss([*self.of.prompt_P * 2, *ids]), right)
        wanted = right and (rare or self.kind != "rare")
        return Verdict(float(wanted), right, None if right else super().__call__(ids).wrong)


@cache
def started(seed):
    """Return the model at the start: it has read few stories, a few times."""
    of = language()
    rows = of.drawn(START["read"], np.random.default_rng((seed, 0)))
    config = TrainConfig(max_iters=START["steps"], batch_size=16, lr=START["lr"], min_lr=0.0,
                         warmup_iters=5, seed=seed)
    model = GPT(GPTConfig(len(of.tokens), block_size=LONGEST, **MODEL), seed=seed)
    for _ in training_steps(model, make_optimizer(model, config), rows[rows != PAD], config):
        pass
    return model


def copy_of(model, dtype=np.float32):
    other = GPT(model.config, seed=model.seed, dtype=dtype)
    for name, weight in other.parameters().items():
        weight.data[...] = model.parameters()[name].data
    return use_weights(other, "fp32")


# ---- What is exact


def token_nats(model, of):
    """Return ln pi of each token of each story, (S, T), 0 after its end."""
    logp_ST = frozen_log_probs(model, of.ids_ST)[0].astype(np.float64)
    return logp_ST * (of.ids_ST[:, 1:] != PAD)


def kl(p_S, q_S):
    """Return KL(p || q) in nats; 0 ln 0 = 0."""
    return float(np.sum(p_S * np.log(np.where(p_S > 0, p_S / np.maximum(q_S, 1e-300), 1.0))))


def exact(model, of, start_S, beginnings):
    """Return the exact measures of a model, on request also of stories' beginnings.

    start_S   the filter: the start on right stories
    """
    logp_ST = token_nats(model, of)
    pi_S = np.exp(logp_ST.sum(axis=1))
    valid = pi_S.sum()
    q_S, rare = pi_S / valid, of.rare_S
    old_S = of.p_S * ~rare / of.p_S[~rare].sum()
    entropy = -kl(q_S, np.ones_like(q_S))
    found = {
        "valid": valid, "entropy": entropy, "effective": np.exp(entropy),
        "distinct": -np.expm1(1000 * np.log1p(-pi_S)).sum(), "to filter": kl(q_S, start_S),
        "from filter": kl(start_S, q_S), "from grammar": kl(of.p_S, pi_S),
        "to grammar": kl(q_S, of.p_S), "rare": pi_S[rare].sum() / valid,
        "wanted": pi_S[rare].sum(), "old": kl(old_S, pi_S * ~rare / pi_S[~rare].sum()),
    }
    if beginnings:
        begins, which_S = np.unique(of.ids_ST[:, 1 : BEGINNING + 1], axis=0, return_inverse=True)
        which_S = which_S.reshape(-1)
        given_S = np.exp(logp_ST[:, BEGINNING:].sum(axis=1))
        right_B = np.minimum(np.bincount(which_S, given_S, len(begins)), 1 - 1e-12)
        often_B = np.bincount(which_S, of.p_S, len(begins))
        found["pass"] = [float(-np.expm1(k * np.log1p(-right_B)) @ often_B) for k in KS]
        found["lost"] = float((right_B < 0.01) @ often_B)
    return {k: v if isinstance(v, list) else float(v) for k, v in found.items()}


def lost_entropy(q_S, f_S, of):
    """Return {list of words: its part of KL(q || f)}, by the chain rule over tokens."""
    of_word = {f" {option.parts[0]}": name for name, options in of.grammar.lists.items()
               for option in options if name != "story"}
    parts = dict.fromkeys([*of_word.values(), "story"], 0.0)
    before_S, ratio_S = np.zeros(len(q_S), int), 0.0
    for ids_S in of.ids_ST[:, 1:].T:
        after_S = np.unique(before_S * len(of.tokens) * 2 + ids_S, return_inverse=True)[1]
        q, f = (np.bincount(after_S, p)[after_S] for p in (q_S, f_S))
        total_S = np.log(np.maximum(q, 1e-300) / f)
        gain_S = q_S * (total_S - ratio_S)
        for v in np.unique(ids_S[ids_S != PAD]):
            name = of_word.get(of.tokens[v].decode(), "story")
            parts[name] += float(gain_S[ids_S == v].sum())
        before_S, ratio_S = after_S, total_S
    return parts


def kl_to_start(model, start, of, rng, count=512):
    """Return an estimate of KL(pi || start) in nats per story, exact at each drawn prefix."""
    ids = draw_stories(model, of.prompt_P, count, GrammarVerifier(of, of.grammar), rng)
    (_, own_BTV), (_, ref_BTV) = frozen_log_probs(model, ids), frozen_log_probs(start, ids)
    kl_BT = (np.exp(own_BTV) * (own_BTV - ref_BTV)).sum(axis=-1)
    return float((kl_BT * (ids[:, 1:] != PAD)).sum() / count)


# ---- Trials


class Fixed(Rewarded):
    """The objective on stories written beforehand, in place of drawn ones."""

    def _stories(self, count, seed, step):
        if self.config.reward_loss == "dpo":
            return self.pool, None
        rng = np.random.default_rng((seed, step))
        return self.pool[rng.integers(len(self.pool), size=count)], None


def measured(settings):
    """Return what a trial measures, in five digits: {"at": a dict for each evaluation, ...}."""
    if settings["arm"] == "gradient":
        found = gradients(seed=settings["seed"], **settings.get("size", {}))
    else:
        found = trained(settings)
    return json.loads(json.dumps(found, default=float), parse_float=five_digits)


def five_digits(text):
    return float(f"{float(text):.5g}")


def trained(settings):
    """Train one trial and return its measures."""
    of, seed = language(), settings["seed"]
    start = started(seed)
    model = copy_of(start)
    reference = copy_of(start)
    changed = {"seed": seed, "lr": settings["lr"], "max_iters": settings.get("steps", STEPS)}
    config = TrainConfig(reward="grammar", **TRAINING | changed | settings.get("switches", {}))
    verify = Verifier(of, settings.get("verify", "grammar"), seed)
    drawn = None
    if config.reward_updates > 1:
        shape = config.reward_updates * config.batch_size, LONGEST + 1
        drawn = {"ids": np.full(shape, PAD), "old": np.zeros((shape[0], LONGEST), np.float32)}
    kind = Fixed if "pool" in settings else Rewarded
    objective = kind(None, model, reference, verify, of.prompt_P, config, drawn)
    rng = np.random.default_rng((seed, 1))
    if settings.get("pool") == "another writer":  # of the same stories, all equally often
        objective.pool = of.drawn(2048, rng, of.rare_S * 1.0)
    elif settings.get("pool") == "pairs":
        ids = draw_stories(reference, of.prompt_P, 4096, verify, rng)
        right_B = np.array([verify(row[1:][row[1:] != PAD]).right for row in ids])
        some = [np.flatnonzero(right_B == side)[:256] for side in (True, False)]
        objective.pool = ids[np.concatenate(some)]
        chosen = {tuple(row[row != PAD]) for row in ids[some[0]]}
        chosen_S = np.array([tuple(row[row != PAD]) in chosen for row in of.ids_ST])
        rejected = np.unique(ids[some[1]], axis=0)
    pi_S = np.exp(token_nats(model, of).sum(axis=1))
    start_S = pi_S / pi_S.sum()

    def evaluated(step, seen=None):
        row = exact(model, of, start_S, step in (0, config.max_iters)) | {"step": step} | {
            k: float(v) for k, v in (seen or {}).items() if k in ("kl", "reward") and v is not None}
        if settings.get("pool") == "pairs":
            pi_S = np.exp(token_nats(model, of).sum(axis=1))
            logp = frozen_log_probs(model, rejected)[0].astype(np.float64)
            row |= {"chosen": float(pi_S[chosen_S].sum()), "other": float(pi_S[~chosen_S].sum()),
                    "rejected": float(np.exp((logp * (rejected[:, 1:] != PAD)).sum(axis=1)).sum())}
        return row

    rows = [evaluated(0)]
    try:
        for step in training_steps(model, make_optimizer(model, config), None, config,
                                   objective=objective):
            if step.step % settings.get("every", EVERY) == 0:
                rows.append(evaluated(step.step, step.measured))
    except FloatingPointError:  # the loss is not finite: the run ends where it is
        rows.append(evaluated(config.max_iters))
    pi_S = np.exp(token_nats(model, of).sum(axis=1))
    return {"at": rows, "kl": kl_to_start(model, reference, of, rng),
            "lost": lost_entropy(pi_S / pi_S.sum(), start_S, of)}


# ---- The gradient of the validity


def gradients(seed, drawn=DRAWN, groups=GROUPS):
    """Return how far estimates of dV are from it: the mean of many, and single ones by group size.

    An estimate is linear in the scores d ln pi(y_t), so along a direction it needs the scores'
    projections alone: differences of ln pi(y_t) between two weights.
    """
    of, rng = language(), np.random.default_rng((seed, 2))
    model = copy_of(started(seed), np.float64)
    weights = model.parameters()
    verify = Verifier(of, "grammar", seed)

    def gradient(ids, f):
        """Return the gradient of f(ln pi of each token (B, T), 0 after a story's end)."""
        for weight in weights.values():
            weight.grad = None
        f(log_probs(model, *shifted(ids))[0] * counted(ids)).backward()
        return np.concatenate([weight.grad.ravel() for weight in weights.values()])

    def weighted_sum(ids, w_BT):
        return gradient(ids, lambda logp: (logp * w_BT).sum())

    def along(direction, f):
        """Return the central difference of f along a direction."""
        ends = []
        for sign in (1e-5, -1e-5):
            _move(weights, sign * direction)
            ends.append(f())
            _move(weights, -sign * direction)
        return (ends[0] - ends[1]) / 2e-5

    def stories(count):
        return np.concatenate([_padded(draw_stories(model, of.prompt_P, 1000, verify, rng))
                               for _ in range(-(-count // 1000))])[:count]

    pi_S = np.exp(token_nats(model, of).sum(axis=1))
    valid = pi_S.sum()
    by_sum = gradient(of.ids_ST, lambda logp: (logp.sum(axis=1) * pi_S).sum())
    by_op = gradient(of.ids_ST, lambda logp: exp(logp.sum(axis=1)).sum())
    slope = np.linalg.norm(by_op)
    unit = by_op / slope
    numeric = along(unit, lambda: np.exp(token_nats(model, of).sum(axis=1)).sum())
    found = {"valid": valid, "slope": slope, "sum to op": np.abs(by_sum - by_op).max(),
             "difference to op": abs(numeric - slope), "groups": []}
    ids = stories(drawn)
    weights_of, K = terms(ids, verify), np.arange(GROUP + 1)
    score_BT = along(unit, lambda: np.concatenate([
        frozen_log_probs(model, ids[b : b + 5000])[0] for b in range(0, len(ids), 5000)]))
    scaled = stats.binom.pmf(K, GROUP, valid) @ np.sqrt(K / GROUP * (1 - K / GROUP))
    theory = {"none": 1.0, "mean": 1 - 1 / GROUP, "token": 1 - 1 / GROUP,
              "std": scaled / (valid * (1 - valid))}
    for name, f in weights_of.items():
        x_G = [(f(part) * score_BT[part]).sum() / slope for part in parts(len(ids), GROUP)]
        found[name] = {"factor": np.mean(x_G), "error": stats.sem(x_G), "theory": theory.get(name)}
    for N in (4, 16, 64, 256):
        ids = stories(N * groups)
        for name, f in terms(ids, verify).items():
            g_GW = np.array([weighted_sum(ids[part], f(part)) for part in parts(len(ids), N)])
            norms_G = np.linalg.norm(g_GW, axis=1)
            cosines = (g_GW @ unit)[norms_G > 0] / norms_G[norms_G > 0]
            noise = np.sqrt(g_GW.var(axis=0, ddof=1).sum()) / np.linalg.norm(g_GW.mean(axis=0))
            found["groups"].append({"N": N, "estimator": name, "cosine": cosines.mean(),
                                    "none right": np.mean(norms_G == 0), "noise": noise})
    return found


def counted(ids):
    return (ids[:, 1:] != PAD) * 1.0


def parts(count, N):
    return [slice(first, first + N) for first in range(0, count - N + 1, N)]


def terms(ids, verify):
    """Return {estimator: function of a slice of stories, the weight of each token's score}."""
    verdicts = [verify(row[1:][row[1:] != PAD]) for row in ids]
    reward_B, all_BT = np.array([verdict.reward for verdict in verdicts]), counted(ids)
    blamed_BT = all_BT.copy()
    for b, verdict in enumerate(verdicts):
        if verdict.wrong is not None:
            blamed_BT[b, verdict.wrong + 1 :] = 0

    def weight(kind, of_BT):
        return lambda part: (advantages(reward_B[part], of_BT[part], kind)
                             / len(reward_B[part]))

    return {"none": weight("none", all_BT), "mean": weight("mean", all_BT),
            "std": weight("std", all_BT), "token": weight("mean", blamed_BT),
            "1/length": weight("mean", all_BT / all_BT.sum(axis=1, keepdims=True))}


def _padded(ids):
    return np.pad(ids, ((0, 0), (0, LONGEST + 1 - ids.shape[1])), constant_values=PAD)


def _move(weights, direction):
    start = 0
    for weight in weights.values():
        weight.data += direction[start : start + weight.size].reshape(weight.shape)
        start += weight.size
