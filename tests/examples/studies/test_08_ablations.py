"""Every number of 08_ablations.md, computed again from the stored trainings."""

import importlib
import re

import numpy as np
import study_numbers as sn
from scipy import stats

REPORT = "08_ablations.md"


def test_every_effect_and_interval_comes_out_again():
    table = sn.report(REPORT)
    assert table.split("<!-- arms -->")[0].count(" | 3 | ") == len(sn.BESIDE)
    for name, numbers in sn.moderated(sn.of_settings()).items():
        mean, low, high = map(sn.of_percent, numbers)
        near = sn.at_rates(sn.BESIDE[name][0])[1]
        line = f"| {name} | 3 | {mean} | {low} to {high} | {sn.found_in(*numbers)} | {near} |"
        assert line in table, line


def test_the_ends_of_every_arm_come_out_again():
    labels = [row.label for row in importlib.import_module("08_ablations").ROWS]
    assert re.findall(r"^\| Tales \| ([^|]+) \|", sn.report(REPORT), re.M) == labels
    for label in labels:
        ends = re.escape(sn.ends_of(sn.by_seed(label)))
        assert re.search(rf"^\| Tales \| {re.escape(label)} \| .*{ends}$", sn.report(REPORT), re.M)


def test_every_quoted_number_comes_out_again():
    from ablation_trials import BASE

    ratios = sn.of_settings()
    flat, deep = (ratios[f"post-norm (beside pre-norm, {n} blocks)"] for n in (4, 12))
    low, high = stats.ttest_rel(deep, flat).confidence_interval()
    base = sn.by_seed("base", range(1, 8))
    leak = f"{-sn.by_seed('no mask').mean():.3f} nats below"
    by_rate, stuck = {}, {}
    for settings, result in sn.rows("08_ablations.jsonl"):
        changed = {k: v for k, v in settings.items()
                   if v != BASE.get(k) and k not in ("lr", "seed")}
        if not changed and settings["seed"] < 4:
            by_rate.setdefault(settings["lr"], []).append(result["excess"])
        if {*changed} <= {"variant", "n_layer", "warm_up"} and settings["seed"] == 1:
            last = {4: 0.032, 12: 0.016}.get(settings["n_layer"])
            if settings["lr"] == last and "no norm" not in changed.values():
                end = settings["variant"], settings["warm_up"]
                stuck.setdefault(end, []).append(result["excess"])
    with_warm_up, without_it = stuck["GPT", 80], stuck["GPT", 0]
    post = stuck["post-norm", 80] + stuck["post-norm", 0]
    assert [len(x) for x in stuck.values()] == [2, 2, 2, 2]
    too_high = [x for rate, ends in by_rate.items() if 0.3 <= rate <= 10 for x in ends]
    entropy = sn.entropy_of_tales()
    near = {rate: [x is not None and x < 0.05 * entropy for x in ends]
            for rate, ends in by_rate.items()}
    all_seeds = [rate for rate, seeds in near.items() if all(seeds)]
    assert not any(any(seeds) for seeds in near.values() if not all(seeds))
    lost = [rate for rate, ends in by_rate.items() if ends == [None] * 3]
    assert {*lost} == {rate for rate in by_rate if rate >= min(lost)} and len(by_rate) == 18
    assert {*all_seeds} == {r for r in by_rate if min(all_seeds) <= r <= max(all_seeds)}
    found = sn.moderated(ratios)
    words = [sn.found_in(*numbers) for numbers in found.values()]
    narrow = [int(word.split()[-2]) for word in words if word.startswith("not")]
    assert sorted(base)[-2] < 0.03 * entropy
    assert np.exp(found["dropout of 0.3 (beside read 50 times)"][0]) < 0.34
    assert found["4 stories a step"][1] < 0 < found["4 stories a step"][2]
    by_root, same = (np.expm1(found[f"32 stories a step{end}"][0]) for end in (
        ", rate of 0.008", ""))
    assert by_root < same / 2
    shared = sum(other == "base" for _, other in sn.BESIDE.values())
    plain = {name: sn.student(x) for name, x in ratios.items()}
    other = {name: x for name, x in plain.items()
             if (x[1] * x[2] > 0) != (found[name][1] * found[name][2] > 0)}
    ends = [" to ".join(map(sn.of_percent, other[name][1:])) for name in (
        "SGD with momentum", "no warm-up (beside pre-norm, 12 blocks)",
        "no decay (beside read 50 times)")]
    assert len(other) == 3
    none = [(word, sn.found_in(*plain[name])) for name, word in zip(found, words, strict=True)
            if word.startswith("not")]
    still = [int(alone.split()[-2]) for _, alone in none if alone.startswith("not")]
    assert [word[-4:] for word, alone in none if alone == "cannot be told"] == ["27 %"] * 2
    p = stats.ttest_1samp(ratios["no decay (beside read 50 times)"], 0).pvalue
    sn.assert_says(
        REPORT,
        f"post-norm {flat.mean():.2f} at 4 blocks {deep.mean():.2f} at 12 difference "
        f"{np.mean(deep - flat):.2f} ({low:+.2f} to {high:+.2f})",
        f"loss {leak} entropy",
        f"ended {sn.listed(base[3:], '.4f')} seven {base.mean():.4f} deviation "
        f"{base.std(ddof=1):.4f}",
        f"seven ends {base[3] / np.delete(base, 3).mean():.1f} times {shared} comparisons",
        f"Rates {min(all_seeds):g} to {max(all_seeds):g} 5 % above",
        f"From 0.3 to 10 {min(too_high):.1f} to {max(too_high):.1f} nats",
        f"At {min(lost):g} NaN",
        f"post-norm {min(post):.1f} to {max(post):.1f} nats pre-norm {np.mean(with_warm_up):.2f} "
        f"with warm-up {min(without_it):.2f} to {max(without_it):.2f} without",
        f"no effect of decay {sn.found_in(*found['no decay']).split()[-2]} %",
        f"1e-4 {sn.found_in(*found['decay of 0.0001 in the gradient']).split()[-2]} %",
        f"base 3 % seven {100 * max(base) / entropy:.1f} %",
        f"changes for three SGD ({ends[0]}) 12 blocks ({ends[1]}) no decay ({ends[2]} p = {p:.3f})",
        f"Of {len(found)} comparisons {words.count('shown')} show {len(narrow)} none beyond "
        f"{min(narrow)} to {max(narrow)} % t alone {len(still)} {min(still)} to {max(still)} % "
        f"{words.count('cannot be told')} cannot", "27 %* then cannot be told")
    ends = [r["excess"] for s, r in sn.rows("08_ablations.jsonl")
            if s["optimizer"] == "SGD" and s["clip"] == 0]
    once = "{:+.0f} % {:+.0f} {:+.0f}".format(*100 * np.expm1(found["no clipping"]))
    deeper, batches = ([f"{100 * np.expm1(found[arm][0]):+.0f}" for arm in arms] for arms in (
        [f"no norm (beside pre-norm, {n} blocks)" for n in (4, 12)],
        ["32 stories a step, rate of 0.008", "32 stories a step"]))
    assert len(ends) == 3 and ends.count(None) == 1
    sn.assert_says(
        sn.CONCEPTS, f"loss {leak.replace('nats ', '')} the entropy",
        f"SGD one of three NaN clipping {once}",
        f"tales 4 or 12 blocks {deeper[0]} and {deeper[1]} %",
        f"32 stories a step {batches[0][1:]} to {batches[1][1:]} % more")
