"""The reward study: its exact measures on small grammars, and every number of its texts again."""

import importlib
import re

import numpy as np
import pytest
import study_numbers as sn
from hypothesis import given
from reward_language import conditioned, kl, language, lost_entropy, texts
from small_grammars import derivations, grammars

study, trials = map(importlib.import_module, ("11_reward", "reward_trials"))
REPORT = "11_reward.md"
RATES = 1e-3, 3e-3, 1e-2


@given(grammars())
def test_all_texts_of_a_grammar(grammar):
    assert list(texts(grammar)) == [text for text, _ in derivations(grammar)]


def test_parts_of_the_lost_entropy_add_up_to_it():
    p_S, q_S = (conditioned(np.random.default_rng(seed).random(3168) ** 4) for seed in (1, 2))
    assert sum(lost_entropy(p_S, q_S, language()).values()) == pytest.approx(kl(p_S, q_S))


@pytest.mark.slow
def test_it_runs(tmp_path):
    found = study.main(quick=True, figures=tmp_path)
    assert {row["settings"]["arm"] for row in found} == {*study.QUICK, "gradient"}
    assert (tmp_path / "11_reward.png").exists()


@pytest.mark.slow
def test_dpo_is_trained_on_the_first_32_of_its_256_pairs():
    reference, verify = trials.start(1), trials.Verifier(1)
    pool = trials.pairs(reference, verify, np.random.default_rng(1))

    def trained_on(pool):
        model, config = trials.start(1), trials.RewardConfig(
            reward="grammar", lr=3e-3, reward_loss="dpo", reward_kl=0.1,
            **trials.TRAINING | {"max_iters": 2})
        objective = trials.FromPool(None, model, reference, verify, language().prompt_P, config)
        objective.pool = pool
        optimizer = trials.make_optimizer(model, config)
        for _ in trials.training_steps(model, optimizer, None, config, objective=objective):
            pass
        return np.concatenate([weight.data.ravel() for weight in model.parameters().values()])

    assert len(pool) == 2 * 256
    found, same = trained_on(pool), trained_on(np.concatenate([pool[:64], pool[:63:-1]]))
    np.testing.assert_array_equal(found, same)
    assert (found != trained_on(pool[::-1])).any()
    sn.assert_says(REPORT, "256 fixed pairs 64 32")


def test_the_table_is_of_the_rows():
    found = study.rows_of(study.RESULTS, study.trials())
    assert len(found) == len(study.trials()), "an arm was not trained"
    assert study.table(found) in sn.report(REPORT)


def test_each_number_of_the_chapter_stands_in_the_report():
    part = sn.report(sn.CONCEPTS).split("**The names.**")[1].split("## From Here to")[0]
    part = re.sub(r"```.*?```|^    .*?$|\$[^$]*\$|\([^()]*, \d{4}\)|exercise \d+", "", part,
                  flags=re.S | re.M)
    numbers = re.findall(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?: %)?", part)
    assert len(numbers) > 25
    assert [x for x in numbers if x not in " ".join(sn.report(REPORT).split())] == []


# ---- the numbers of the report


def arm(found, name, lr=3e-3):
    """Return the results of an arm in the order of its seeds, which are ten."""
    own = sorted(((s["seed"], r) for s, r in found if s["arm"] == name and s["lr"] == lr),
                 key=lambda pair: pair[0])
    assert [seed for seed, _ in own] == list(range(1, 11)), name
    return [r for _, r in own]


def mean(found, name, key, lr=3e-3, at=-1):
    return np.mean([r["at"][at][key] for r in arm(found, name, lr)], axis=0)


def ends(found, name, key, lr=3e-3, at=-1):
    """Return a measure at the end of an arm's trials, by seed."""
    return np.array([r["at"][at][key] for r in arm(found, name, lr)])


def interval(x, digits=0):
    """Return "mean (low to high)" of differences that are paired by seed."""
    return "{0:+.{3}f} ({1:+.{3}f} to {2:+.{3}f})".format(*sn.student(x), digits)


def gained(found, ours, theirs="mean", lr=3e-3):
    return interval(ends(found, ours, "effective", lr) - ends(found, theirs, "effective", lr))


def factor(found, ours, theirs="mean", lr=3e-3):
    """Return by what an arm multiplies the effective stories, with its interval."""
    ratios = ends(found, ours, "effective", lr) / ends(found, theirs, "effective", lr)
    return "{:.2f} ({:.2f} to {:.2f})".format(*np.exp(sn.student(np.log(ratios))))


def changed(found, key, k=None, name="mean", lr=3e-3, at=-1, digits=2):
    """Return the change of a measure from the start, with its interval.    k: of pass@4^k"""
    after, before = (ends(found, name, key, lr, i) for i in (at, 0))
    return interval((after - before) if k is None else (after - before)[:, k], digits)


def share(found, name):
    """Return right stories and effective ones."""
    return f"{100 * mean(found, name, 'valid'):.0f} % and {mean(found, name, 'effective'):.0f}"


def coins(V, V0):
    """Return the KL of a coin from a coin, the least to the start at a share of right stories."""
    return V * np.log(V / V0) + (1 - V) * np.log((1 - V) / (1 - V0))


def spent(found, name):
    """Return (KL to the start at the end, the least at that share of right stories)."""
    own = arm(found, name)
    V, V0 = (np.array([r["at"][i]["valid"] for r in own]) for i in (-1, 0))
    return np.mean([r["kl"] for r in own]), coins(V, V0).mean()


def left_at(found, name, nats=3.0):
    """Return different right stories where an arm's KL to the start is so large, by seed."""
    at = [sorted((a.get("kl", 0.0), a["distinct"]) for a in r["at"]) for r in arm(found, name)]
    return np.array([np.interp(nats, *zip(*pairs, strict=True)) for pairs in at])


def best_of_n(found, name):
    """Return the share of right stories, %, that best of n has at an arm's KL to the start."""
    shares = []
    for r in arm(found, name):
        V = np.linspace(r["at"][0]["valid"], 1, 10_000, endpoint=False)
        shares.append(np.interp(r["kl"], coins(V, V[0]), V))
    return 100 * np.mean(shares)


def test_every_quoted_number_comes_out_again():
    found = sn.rows("11_reward.jsonl")
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
    factors = {name: np.mean([g[name]["factor"] for g in gradients])
               for name in ("none", "mean", "std", "token", "1/length")}
    theory = np.mean([g["std"]["theory"] for g in gradients])
    z = [(g[name]["factor"] - g[name]["theory"]) / g[name]["error"] for g in gradients
         for name in ("none", "mean", "std", "token")]
    worst = max(g["difference to op"] for g in gradients)
    assert worst < 1e-6 and max(g["sum to op"] for g in gradients) < 1e-6

    for name in ("proxy", "5-gram"):  # the share of right stories rises throughout
        shares = np.mean([[at["valid"] for at in r["at"]] for r in arm(found, name)], axis=0)
        assert (np.diff(shares) > 0).all()
    chosen, other, rejected = ([mean(found, "DPO", k, at=i) for i in (0, -1)]
                               for k in ("chosen", "other", "rejected"))
    by_reward, by_text = (np.array([
        np.interp(0.2, *([a[key] for a in r["at"]] for key in ("wanted", "old")))
        for r in arm(found, name)]) for name in ("rare by reward", "rare by text"))
    less = sn.student(by_reward - by_text)[1:]
    second = [x for name in ("rare by text", "rare by reward") for x in np.mean(
        [(100 * a["wanted"] / a["valid"], a["old"], 100 * a["valid"])
         for a in (r["at"][1] for r in arm(found, name))], axis=0)]
    std = interval(100 * (ends(found, "std", "valid") - ends(found, "mean", "valid")), 1)
    fell = ends(found, "DPO", "chosen") - ends(found, "DPO", "chosen", at=0)
    reach = sum((ends(found, "rejection", "valid", lr) > 0.85).sum() for lr in RATES)
    low_k1 = ends(found, "k1 10", "valid")
    pulls = {f"{k} {w:g}": ends(found, f"{k} {w:g}", "valid")
             for k in ("k1", "k2", "k3") for w in (0.1, 1, 10)}
    started = ends(found, "mean", "valid", at=0)
    by_kind = {k: " and ".join([", ".join(f"{100 * pulls[f'{k} {w:g}'].mean():.0f}" for w in
                                          (0.1, 1)), f"{100 * pulls[f'{k} 10'].mean():.0f} %"])
               for k in ("k1", "k2", "k3")}

    def of_groups(name, key, N):
        return np.mean([g[key] for r in gradients for g in r["groups"]
                        if (g["estimator"], g["N"]) == (name, N)])

    def multiple(name):
        return f"{factors[name]:.3f} ({np.mean([g[name]['theory'] for g in gradients]):.3f})"

    mild = [V for name, V in pulls.items() if " 10" not in name]
    sn.assert_says(
        sn.CONCEPTS,
        f"Rejection sampling pass@1 {kind[0]:.2f} pass@1024 {kind[-1]:.2f} "
        f"{100 * mean(found, 'rejection', 'lost'):.0f} % of the beginnings",
        f"third of the rate {100 * mean(found, 'mean', 'valid', 1e-3):.0f} % pass@1024 "
        f"{mean(found, 'mean', 'pass', 1e-3)[-1]:.2f} "
        f"{100 * mean(found, 'mean', 'lost', 1e-3):.0f} % of the beginnings")
    sn.assert_says(
        REPORT,
        f"from {100 * V0:.0f} to {100 * V:.0f} % right {eff0:.0f} to {eff:.0f} effective",
        f"1,000 drawn {distinct0:.0f} right {distinct:.0f} after",
        f"{kl:.1f} nats KL {least:.1f} suffice",
        f"pass@1 {before[0]:.2f} to {after[0]:.2f} pass@1024 {before[-1]:.2f} to {after[-1]:.2f} "
        f"k = {crossed}",
        f"rejection sampling: {kind[0]:.2f} and {kind[-1]:.2f} pass@64 {before[3]:.2f} to "
        f"{kind[3]:.2f} {100 * mean(found, 'rejection', 'lost'):.0f} % of the beginnings",
        " ".join(f"{name} {parts[name]:.2f}" for name in order[:4])
        + f" of {sum(parts.values()):.2f} nats",
        f"{factors['std']:.2f} times the gradient binomial {theory:.2f}",
        std.replace(" (", " points ("),
        f"{sum(abs(x) < 1 for x in z)} of {len(z)} one standard error {max(map(abs, z)):.1f}",
        f"cosine {of_groups('mean', 'cosine', 4):.2f} {of_groups('mean', 'cosine', 64):.2f} "
        f"{of_groups('mean', 'cosine', 256):.3f} groups of 4, 64 and 256",
        f"large groups cosine {of_groups('1/length', 'cosine', 256):.3f}",
        gained(found, "reward 0.1").replace(" (", " effective ("),
        "other two rates " + " ".join(gained(found, "reward 0.1", lr=lr) for lr in (1e-3, 1e-2))
        + f" factor of {factor(found, 'reward 0.1', lr=1e-3)} 1.5",
        f"{reach} of its 30 runs 85 %",
        f"no baseline {share(found, 'none')} *std* {share(found, 'std')} words "
        f"{share(found, '1/length')} *blame* {share(found, 'blame')} entropy bonus 0.02 "
        f"{share(found, 'entropy bonus')} {gained(found, 'entropy bonus', 'reward 0.1')} factor "
        f"{factor(found, 'entropy bonus', 'reward 0.1')} cannot be told",
        f"changes are {changed(found, 'pass', 0)} {changed(found, 'pass', -1)} "
        f"{100 * mean(found, 'mean', 'lost'):.0f} % of the beginnings",
        f"pass@1 {changed(found, 'pass', 0, lr=1e-3)} pass@64 "
        f"{changed(found, 'pass', 3, lr=1e-3)} {100 * mean(found, 'mean', 'lost', 1e-3):.0f} %",
        f"no baseline {multiple('none')} *mean* {multiple('mean')} *std* {multiple('std')} *blame* "
        f"{multiple('token')}",
        f"{100 * of_groups('mean', 'none right', 4):.0f} % of groups of 4",
        f"{of_groups('none', 'noise', 64):.2f} without {of_groups('mean', 'noise', 64):.2f} with",
        " ".join(f"{k} {by}" for k, by in by_kind.items()),
        f"{sum((started > V).sum() for V in mild)} of {sum(map(len, mild))} runs below the start",
        f"a third {100 * mean(found, 'mean', 'valid', 1e-3):.0f} % 1,000 drawn "
        f"{mean(found, 'mean', 'distinct', 1e-3):.0f} right",
        f"{(low_k1 < started).sum()} of 10 runs below {(low_k1 < 1e-4).sum()} 0.01 %",
        f"from {distinct0:.0f} to {mean(found, 'proxy', 'distinct'):.0f} and "
        f"{mean(found, '5-gram', 'distinct'):.0f} *mean, long* "
        f"{mean(found, 'mean, long', 'distinct'):.0f}",
        f"ends at {100 * mean(found, 'proxy', 'valid'):.0f} and "
        f"{100 * mean(found, '5-gram', 'valid'):.0f} %",
        "by {} and {} stories".format(*(
            interval(left_at(found, name) - left_at(found, "mean, long"))
            for name in ("proxy", "5-gram"))),
        f"best of n {best_of_n(found, 'rejection'):.0f} and "
        f"{best_of_n(found, 'rejection, long'):.0f} % right",
        f"{mean(found, 'proxy', 'kl'):.1f} and {mean(found, '5-gram', 'kl'):.1f} nats, not "
        f"{mean(found, 'mean, long', 'kl'):.1f}",
        f"chosen {chosen[0]:.3f} to {chosen[1]:.3f} rejected {rejected[0]:.4f} to "
        f"{rejected[1]:.4f} other right {other[0]:.3f} to {other[1]:.3f}",
        f"{1 - chosen[1] - other[1] - rejected[1]:.2f} on wrong stories",
        f"change by {changed(found, 'chosen', name='DPO')} {(fell < 0).sum()} of 10 runs",
        f"{by_reward.mean():.2f} nats by reward {by_text.mean():.2f} by text {less[0]:+.2f} to "
        f"{less[1]:+.2f} start {mean(found, 'mean', 'old', at=0):.2f}",
        "second evaluation {0:.0f} % {1:.2f} nats reward {3:.0f} % {4:.2f} {2:.0f} % {5:.0f} %"
        .format(*second))


def test_every_quoted_number_of_tales_comes_out_again():
    by = {s["method"]: r for s, r in sn.rows("11_reward_tales.jsonl")}
    start, plain, best = by["start"], by["reinforce"], by["KL 0.1, blame"]

    def both(r):
        error = 196 * np.sqrt(r["valid"] * (1 - r["valid"]) / r["stories"])
        return (f"{100 * r['valid']:.1f} % (+-{error:.1f}) {r['entropy']:.1f} nats "
                f"(+-{1.96 * r['entropy error']:.1f}) {100 * r['entropy'] / r['grammar']:.0f} %")

    as_right = next(i for i, V in enumerate(plain["steps"]["valid"]) if best["valid"] <= V)
    sn.assert_says(
        REPORT,
        f"steps {10 * as_right + 1} to {10 * as_right + 10} "
        f"{plain['steps']['entropy'][as_right]:.1f} nats",
        both(start), both(plain), both(best),
        f"{best['grammar']:.1f} nats",
        f"{start['loss']:.1f} to {best['loss']:.1f} nats per story REINFORCE {plain['loss']:.1f} "
        f"(+-{max(1.96 * r['loss error'] for r in by.values()):.1f}")
