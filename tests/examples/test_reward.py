"""The reward study: that it runs, and every number that its texts quote, from the stored rows."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="of the extra 'studies'")
pytest.importorskip("pandas", reason="of the extra 'studies'")
from scipy import stats

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DOCUMENTS = "examples/11_reward.md", "CONCEPTS.md"


def rows(name):
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
    return [(row["settings"], row["result"]) for row in map(json.loads, lines)]


def arm(found, name, lr=3e-3):
    """Return the results of an arm in the order of its seeds, which are ten."""
    own = sorted(((s["seed"], r) for s, r in found if s["arm"] == name and s["lr"] == lr),
                 key=lambda pair: pair[0])
    assert [seed for seed, _ in own] == list(range(1, 11)), name
    return [r for _, r in own]


def mean(found, name, key, lr=3e-3, at=-1):
    return np.mean([r["at"][at][key] for r in arm(found, name, lr)], axis=0)


def paired(found, ours, theirs, key):
    """Return "x (low to high)" of the paired differences of two arms at the end."""
    x = [a["at"][-1][key] - b["at"][-1][key] for a, b in
         zip(arm(found, ours), arm(found, theirs), strict=True)]
    low, high = stats.t.interval(0.95, 9, np.mean(x), stats.sem(x))
    return np.mean(x), low, high


def gained(found, lr):
    return mean(found, "reward 0.1", "effective", lr) - mean(found, "mean", "effective", lr)


def spent(found, name):
    """Return (KL to the start at the end, the least at that share of right stories)."""
    own = arm(found, name)
    V, V0 = (np.array([r["at"][i]["valid"] for r in own]) for i in (-1, 0))
    least = V * np.log(V / V0) + (1 - V) * np.log((1 - V) / (1 - V0))
    return np.mean([r["kl"] for r in own]), least.mean()


def quoted_of_small(found):
    V0, eff0, distinct0 = (mean(found, "mean", k, at=0) for k in ("valid", "effective", "distinct"))
    V, eff, distinct = (mean(found, "mean", k) for k in ("valid", "effective", "distinct"))
    kl, least = spent(found, "mean")
    before, after, kind = (mean(found, name, "pass", at=at) for name, at in
                           (("mean", 0), ("mean", -1), ("rejection", -1)))
    ks = [4**i for i in range(6)]
    crossed = next(k for k, b, a in zip(ks, before, after, strict=True) if a < b)
    parts = {name: np.mean([r["lost"][name] for r in arm(found, "mean")])
             for name in arm(found, "mean")[0]["lost"]}
    order = sorted(parts, key=parts.get, reverse=True)
    gradients = [r for s, r in found if s["arm"] == "gradient"]
    factor = {name: np.mean([g[name]["factor"] for g in gradients])
              for name in ("none", "mean", "std", "token", "1/length")}
    theory = np.mean([g["std"]["theory"] for g in gradients])
    z = [(g[name]["factor"] - g[name]["theory"]) / g[name]["error"] for g in gradients
         for name in ("none", "mean", "std", "token")]
    worst = max(g["difference to op"] for g in gradients)
    assert worst < 1e-6 and max(g["sum to op"] for g in gradients) < 1e-6

    def cosine(name, N):
        return np.mean([g["cosine"] for r in gradients for g in r["groups"]
                        if (g["estimator"], g["N"]) == (name, N)])

    proxy = arm(found, "proxy")
    by_step = np.mean([[at["distinct"] for at in r["at"]] for r in proxy], axis=0)
    score = np.mean([[at["reward"] for at in r["at"][1:]] for r in proxy], axis=0)
    best = int(by_step.argmax())
    chosen, other, rejected = ([mean(found, "DPO", k, at=i) for i in (0, -1)]
                               for k in ("chosen", "other", "rejected"))
    by_reward, by_text = (np.array([
        np.interp(0.2, *([a[key] for a in r["at"]] for key in ("wanted", "old")))
        for r in arm(found, name)]) for name in ("rare by reward", "rare by text"))
    less = stats.t.interval(0.95, 9, np.mean(by_reward - by_text), stats.sem(by_reward - by_text))
    more, low, high = paired(found, "reward 0.1", "mean", "effective")
    std, std_low, std_high = paired(found, "std", "mean", "valid")
    return {
        "sharp": f"from {100 * V0:.0f} to {100 * V:.0f} % right stories, and from {eff0:.0f} to "
                 f"{eff:.0f} effective ones",
        "distinct": f"of 1,000 drawn stories {distinct0:.0f} were right and different before, "
                    f"{distinct:.0f} after",
        "spent": f"{kl:.1f} nats of KL to the start where {least:.1f} suffice",
        "pass": f"pass@1 of a beginning from {before[0]:.2f} to {after[0]:.2f} and pass@1024 from "
                f"{before[-1]:.2f} to {after[-1]:.2f}; from k = {crossed} on the start is better",
        "pass kind": f"rejection sampling: {kind[0]:.2f} and {kind[-1]:.2f}",
        "lost": ", ".join(f"{name} {parts[name]:.2f}" for name in order[:4])
                + f" of {sum(parts.values()):.2f} nats",
        "std": f"{factor['std']:.2f} times the gradient, where the binomial says {theory:.2f}",
        "std effect": f"{100 * std:+.1f} points of right stories ({100 * std_low:+.1f} to "
                      f"{100 * std_high:+.1f})",
        "z": f"{sum(abs(x) < 1 for x in z)} of {len(z)} lie within one standard error of theory, "
             f"the furthest {max(map(abs, z)):.1f} away",
        "cosines": f"cosine {cosine('mean', 4):.2f}, {cosine('mean', 64):.2f} and "
                   f"{cosine('mean', 256):.3f} for groups of 4, 64 and 256",
        "length": f"{cosine('1/length', 256):.3f}",
        "kl more": f"{more:+.0f} effective stories ({low:+.0f} to {high:+.0f}), at the other two "
                   "rates " + " and ".join(
                       f"{gained(found, lr):+.0f}" for lr in (1e-3, 1e-2)),
        "slow": f"at a third of it {100 * mean(found, 'mean', 'valid', 1e-3):.0f} % are right, and "
                f"of 1,000 drawn stories {mean(found, 'mean', 'distinct', 1e-3):.0f} are right and "
                "different",
        "slow pass": "pass@1 goes to {:.2f}, pass@1024 to {:.2f}".format(
            *mean(found, "mean", "pass", 1e-3)[[0, -1]]),
        "kinds": f"{mean(found, 'reward 0.1', 'to filter'):.2f} and "
                 f"{mean(found, 'reward 0.1', 'from filter'):.1f} nats, rejection "
                 f"{mean(found, 'rejection', 'to filter'):.2f} and "
                 f"{mean(found, 'rejection', 'from filter'):.2f}",
        "long": f"{100 * mean(found, 'rejection, long', 'valid'):.0f} % with "
                f"{mean(found, 'rejection, long', 'effective'):.0f} effective stories by rejection"
                f", {100 * mean(found, 'full 0.2, long', 'valid'):.0f} % with "
                f"{mean(found, 'full 0.2, long', 'effective'):.0f} by a KL of 0.2, "
                f"{100 * mean(found, 'mean, long', 'valid'):.0f} % with "
                f"{mean(found, 'mean, long', 'effective'):.0f} without either",
        "k1": f"{100 * mean(found, 'k1 10', 'valid'):.1f} % right, "
              f"{sum(r['at'][-1]['valid'] < r['at'][0]['valid'] for r in arm(found, 'k1 10'))} of "
              f"10 runs below the start; k2 {100 * mean(found, 'k2 10', 'valid'):.0f} %, k3 "
              f"{100 * mean(found, 'k3 10', 'valid'):.0f} %",
        "proxy": f"from {by_step[0]:.0f} to {by_step[best]:.0f} after {10 * best} steps, and then "
                 f"to {by_step[-1]:.0f}, while {100 * mean(found, 'proxy', 'valid'):.0f} % are "
                 "right",
        "score": f"from {score[0]:.2f} to {score[-1]:.2f} nats a word",
        "dpo": f"chosen {chosen[0]:.3f} to {chosen[1]:.3f}, rejected {rejected[0]:.4f} to "
               f"{rejected[1]:.4f}, other right {other[0]:.3f} to {other[1]:.3f}",
        "dpo rest": f"{1 - chosen[1] - other[1] - rejected[1]:.2f} on wrong stories that no pair "
                    "names",
        "old": f"{by_reward.mean():.2f} nats by reward and {by_text.mean():.2f} by text, a "
               f"difference of {less[0]:+.2f} to {less[1]:+.2f}; the start by "
               f"{mean(found, 'mean', 'old', at=0):.2f}",
    }


def quoted_of_tales(found):
    by = {s["method"]: r for s, r in found}
    start, plain, best = by["start"], by["reinforce"], by["KL 0.1, blame"]

    def both(r):
        error = 196 * np.sqrt(r["valid"] * (1 - r["valid"]) / r["stories"])
        return (f"{100 * r['valid']:.1f} % (+-{error:.1f}) right with {r['entropy']:.1f} nats "
                f"(+-{1.96 * r['entropy error']:.1f}), {100 * r['entropy'] / r['grammar']:.0f} %")

    return {
        "start": both(start), "plain": both(plain), "best": both(best),
        "grammar": f"{best['grammar']:.1f} nats",
        "loss": f"{start['loss']:.1f} to {best['loss']:.1f} nats per story, with plain REINFORCE "
                f"{plain['loss']:.1f}",
    }


def test_11_every_quoted_number_comes_out_again():
    texts = [" ".join((ROOT / name).read_text(encoding="utf-8").split()) for name in DOCUMENTS]
    quoted = quoted_of_small(rows("11_reward.jsonl")) | {
        f"tales {k}": v for k, v in quoted_of_tales(rows("11_reward_tales.jsonl")).items()}
    for name, sentence in quoted.items():
        assert any(sentence in text for text in texts), f"{name}: {sentence}"


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import importlib

    yield importlib.import_module("11_reward")
    for name in ("11_reward", "reward_tables", "reward_tales", "reward_trials"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_11_runs(study, tmp_path):
    found = study.main(quick=True, figures=tmp_path)
    assert {row["settings"]["arm"] for row in found} == {*study.QUICK_ARMS, "gradient"}
    assert (tmp_path / "11_reward.png").exists() and (tmp_path / "11_details.png").exists()


def test_11_tables_are_of_the_rows(study):
    wanted = set(map(study.key, study.trials()))
    found = [row for row in study.kept(study.RESULTS) if study.key(row["settings"]) in wanted]
    text = (EXAMPLES / "11_reward.md").read_text(encoding="utf-8")
    for name, table in study.tables(found).items():
        assert table in text, name
    by = {row["settings"]["method"]: row for row in study.kept(study.TALES)}
    assert study.tales_table([by[method["method"]] for method in study.METHODS]) in text
