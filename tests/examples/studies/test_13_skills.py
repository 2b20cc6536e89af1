"""Least losses and kinds of tokens on known texts; every number of 13_skills.md again."""

import math
from collections import defaultdict

import ablation_trials
import numpy as np
import pytest
import study_numbers as sn
import token_kinds
from ablation_trials import BASE, ROWS, new_model, stories, tokenizer
from almanac import Almanac
from family_models import WordTokenizer
from scipy import stats
from small_grammars import texts_of

from npgpt.tales.grammar import Grammar

REPORT = "13_skills.md"
SIZES = 16, 32, 64, 128  # channels
SMALL = Grammar({
    "story": [("There {:who} had a {it:thing}, {it.his} {it}.", {}, 3), "A {:way}."],
    "who": [("The one {:look} cat", {}, 2), "The dog", "Some pig"],
    "look": ["red", ("blue", {}, 4)],
    "thing": [("hat", {"his": "her"}), ("cup", {"his": "his"}, 2)],
    "way": ["took a bath", "took a nap", ("went", {}, 5)],
})


def test_the_least_loss_on_a_token_is_its_conditional_probability():
    found = texts_of(SMALL)
    words = WordTokenizer("\n".join(found), special=())
    prefixes = defaultdict(float)
    for text, probability in found.items():
        ids = tuple(words.encode(text))
        for i in range(len(ids) + 1):
            prefixes[ids[:i]] += probability
    assert prefixes[()] == pytest.approx(1, abs=1e-14) and len(found) == 11
    for text in found:
        ids, nats, _ = token_kinds._tokens(SMALL, text, words, lambda piece: "x")
        ids = tuple(ids)
        right = [math.log(prefixes[ids[:i]] / prefixes[ids[: i + 1]]) for i in range(len(ids))]
        assert nats == pytest.approx(right, abs=1e-13)


def pieces_of(told, row):
    return [tokenizer().pieces[i] for i in told.y_NT[row] if i >= 0]


def test_kinds_of_tokens():
    told = token_kinds.of_tales([
        "A shy small dog of Velaria did not cross the red street because it was too tired, so it "
        "slept in a tiny bed. Soon a bold pink hen led it to Sidonia.\n\n",
        "\"Who ate my hot pie?\" asked shy King Badado of Sidonia. \"Not I,\" said the "
        "sly red cow. But the calm big hen had crumbs on its head, so it was sent to Velaria.\n\n"],
        tokenizer())
    kinds = [told.kinds[kind] for kind in told.kind_NT[0] if kind >= 0]
    of = defaultdict(list)
    for piece, kind in zip(pieces_of(told, 0), kinds, strict=True):
        of[kind].append(piece)
    assert of["sentence"] == ["A"] and of["reason"] == [" tired", " slept", " a"]
    assert of["name"] == [" Ve", "la", "ria", " Si", "do", "nia"]
    assert told.kinds[told.kind_NT[1, pieces_of(told, 1).index(" crumbs")]] == "reason"
    assert of["word"] == [" shy", " small", " dog", " red", " street", " tiny",
                          " bold", " pink", " hen"]


def test_kinds_of_tokens_in_an_almanac():
    almanac = Almanac(exponent=1.5, shift=5)
    first, second, third = (almanac.grammar.lists["person"][rank] for rank in (0, 10, 11))
    facts = first.traits
    story = (f"The good {first.lead} met {second.lead} in {facts['land']}, so {facts['he']} sang "
             f"and {second.traits['he']} fed the {facts['pet']}.\n")
    other = (f"Once {third.lead} the {third.traits['job']} came from {third.traits['land']} with "
             f"{third.traits['his']} {third.traits['pet']}.\n")
    told = token_kinds.of_almanac(almanac, [story, other])
    for row, text in enumerate((story, other)):
        assert told.nats_NT[row].sum() == pytest.approx(-almanac.grammar.log_probability(text))
    kinds = [[told.kinds[kind] for kind in row if kind >= 0] for row in told.kind_NT]
    assert [kind for kind in kinds[0] if kind != "form"] == [
        "sentence", "word", *["person"] * 4, "fact, ranks to 10", "pronoun", "word", "pronoun",
        "fact, ranks to 10"]
    assert [kind for kind in kinds[1] if kind != "form"] == [
        "sentence", *["person"] * 2, *["fact, to 100"] * 2, "pronoun", "fact, to 100"]


@pytest.mark.parametrize("settings", [BASE, ROWS])
def test_the_parts_add_up_to_the_excess(settings):
    text = settings.get("text", "tales")
    model, told, some = new_model(settings, np.float64), ablation_trials.tested(text), slice(0, 40)
    parts = token_kinds.excess_by_kind(model, told, some)
    test, nats = stories("test", text), 0.0
    for x_T, y_T in zip(test.x_NT[some], test.y_NT[some], strict=True):
        n = (y_T >= 0).sum()
        nats += n * model.loss(x_T[None, :n], y_T[None, :n]).item()
    count = (test.y_NT[some] >= 0).sum()
    assert sum(parts.values()) == pytest.approx((nats - test.nats_N[some].sum()) / count, abs=1e-12)
    assert all(abs(part) > 1e-4 for part in parts.values())


def test_chances_of_one_token_and_of_all():
    model, told = new_model(ROWS, np.float64), ablation_trials.tested("rows")
    found, chances = token_kinds.measured(model, told, slice(0, 3)), []
    for x_T, y_T, nats_T in zip(told.x_NT[:3], told.y_NT[:3], told.nats_NT[:3], strict=True):
        logits = model(x_T[None])[0].data[0]
        odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        chances.append(odds[np.arange(len(y_T)), y_T][(nats_T == 0) & (y_T >= 0)])
    assert found["one"] == pytest.approx(np.concatenate(chances).mean())
    assert found["all"] == pytest.approx(np.mean([row.prod() for row in chances]))
    assert found["new letter"] == token_kinds.excess_by_kind(model, told, slice(0, 3))["new letter"]


# ---- the numbers of the report


def learned_over_time():
    """Return (settings, skills, excess) of the runs in the tables of 13_skills.md."""
    return [(s, r["skills"], r["excess"]) for s, r in sn.rows("13_skills.jsonl")
            if "n_embd" in s  # rows at the registered rates have learned little: not in the tables
            and not (s.get("text") == "rows" and s["lr"] > 6e-3)]


def steps_halved(skills):
    """Return kind -> the step at which its excess is half of the first, or infinity."""
    found, log_step = {}, np.log(skills["steps"])
    for kind in [name for name in skills if name not in ("steps", "one", "all")]:
        part = np.array(skills[kind])
        at = next((i for i, x in enumerate(part) if x <= part[0] / 2), None)
        found[kind] = np.inf if at is None else np.exp(np.interp(
            -part[0] / 2, -part[at - 1 : at + 1], log_step[at - 1 : at + 1]))
    return found


def three(values, form):
    """Return median, least and largest of three seeds as the tables have it."""
    cell = f"{form} ({form} to {form})".format(np.median(values), min(values), max(values))
    return cell.replace("inf", "not yet")


def test_every_number_of_time_and_of_what_is_left_comes_out_again():
    shown = sn.tables_of(REPORT)
    for text in ("rows", "tales"):
        sizes = [[(skills, excess) for s, skills, excess in learned_over_time()
                  if (s["n_embd"], s.get("text", "tales")) == (C, text)] for C in SIZES]
        assert [len(seeds) for seeds in sizes] == [3] * 4
        kinds = [name for name in sizes[0][0][0] if name not in ("steps", "one", "all")]
        whole = [[sum(skills[kind][-1] for kind in kinds) for skills, _ in seeds]
                 for seeds in sizes]
        assert np.ravel(whole) == pytest.approx(  # rounded, each to five digits
            [excess for seeds in sizes for _, excess in seeds], abs=2e-4)
        for kind in kinds:
            halved = [three([steps_halved(skills)[kind] for skills, _ in seeds], "{:.0f}")
                      for seeds in sizes]
            assert f"| {kind} | {' | '.join(halved)} |" in shown[f"{text} halved"]
        left = {name: [[skills[name][-1] for skills, _ in seeds] for seeds in sizes]
                for name in (*kinds, "one", "all")}
        for name, ends in (left | {"excess": whole}).items():
            cells = " | ".join(three(values, "{:.3f}") for values in ends)
            assert f"| {name} | {cells} |" in shown[f"{text} left"]


def shares_of_one_kind(skills):
    """Return the share of the drop of the whole, between 90 and 10 % of it, in which exactly one
    kind makes at least half of the decrease."""
    parts_KS = np.array([x for name, x in skills.items() if name not in ("steps", "one", "all")])
    whole_S, drops, alone = parts_KS.sum(axis=0), [], []
    high, low = (whole_S[-1] + part * (whole_S[0] - whole_S[-1]) for part in (0.9, 0.1))
    for i in range(1, len(whole_S)):
        drop = whole_S[i - 1] - whole_S[i]
        if whole_S[i - 1] <= high and whole_S[i] >= low and drop > 0:
            drops.append(drop)
            alone.append(drop * (sum(parts_KS[:, i - 1] - parts_KS[:, i] >= drop / 2) == 1))
    return sum(alone) / sum(drops)


def in_order(steps):
    """Return the kinds' numbers by the steps; those that do not halve stay in their usual order."""
    return tuple(sorted(range(len(steps)), key=lambda i: (steps[i], i)))


def test_orders_and_copies_are_as_they_are_said():
    orders, copies, later, alone = {"rows": [], "tales": []}, {}, [], {}
    after, first = {}, []
    for settings, skills, _ in learned_over_time():
        name, halved = settings.get("text", "tales"), steps_halved(skills)
        orders[name].append([*halved.values()])
        share = 100 * shares_of_one_kind(skills)
        alone.setdefault(name, {}).setdefault(settings["n_embd"], []).append(share)
        if name == "tales":
            copies.setdefault(settings["n_embd"], []).append(skills["mention"][-1])
            assert max(halved.values()) <= 400 and max(halved, key=halved.get) == "mention"
            assert min(halved, key=halved.get) == "form"
            after.setdefault(settings["n_embd"], []).append((halved["mention"], halved["word"]))
        else:
            first.append({*sorted(halved, key=halved.get)[:2]} == {"order", "end"})
            if settings["n_embd"] > 32:
                later.append(halved["backwards"] - halved["forwards"])
    means, middles, least = [], [], []
    for found in orders.values():
        assert len(found) == 12
        tau_RR = np.array([[stats.kendalltau(a, b).statistic for a in found] for b in found])
        pairs, rng, drawn = ~np.eye(12, dtype=bool), np.random.default_rng(0), []
        for i in rng.integers(0, 12, (2000, 12)):
            drawn.append(tau_RR[np.ix_(i, i)][i[:, None] != i].mean())
        means.append("{:.2f} ({:.2f} to {:.2f})".format(
            tau_RR[pairs].mean(), *np.percentile(drawn, (2.5, 97.5))))
        middles.append(tau_RR[pairs].mean())
        least.append(tau_RR[pairs].min())
    low, high = min(copies[16] + copies[32]), max(copies[16] + copies[32])
    ratios = [mention / word for found in after.values() for mention, word in found]
    assert [len({*map(in_order, found)}) for found in orders.values()] == [4, 4]  # "four orders"
    middle = [np.median(alone["tales"][C]) for C in SIZES]
    assert middle == sorted(middle, reverse=True)  # "less in larger models"
    alone = [np.concatenate([*alone[name].values()]) for name in orders]
    too_high = sorted((s["n_embd"], r["excess"]) for s, r in sn.rows("13_skills.jsonl")
                      if s.get("text") == "rows" and s["lr"] > 6e-3)
    learned = [sum(x < 0.003 for x in copies[C]) for C in (64, 128)]
    sn.assert_says(
        REPORT,
        f"tau is {least[0]:.2f} on rows {least[1]:.2f} on tales 66 pairs "
        f"{sn.listed(middles, '.2f')} mean",
        "two runs is {} on rows {} on tales".format(*means),
        f"last in all {len(orders['tales'])} runs",
        f"halves {min(ratios):.1f} to {max(ratios):.1f} times 16 and 32 channels {low:.3f} to "
        f"{high:.3f}",
        f"end and the order first in {sum(first)} of {len(first)} runs",
        "each text has four",
        "“shown” (tau above 0) four orders",
        "64 channels {} 128 {}".format(*(("none", "one", "two", "three")[n] for n in learned)),
        f"forwards {min(later):.0f} to {max(later):.0f} steps before backwards",
        "exactly one in {:.0f} to {:.0f} % on rows {:.0f} to {:.0f} % on tales".format(
            *(end(shares) for shares in alone for end in (min, max))),
        "16 and 32 channels {:.2f} and {:.2f} nats".format(*(x for _, x in too_high)))


def almanac_runs():
    """Return by s the (settings, result) of question 3, rows at 64 channels first."""
    found = [(s, r) for s, r in sn.rows("13_skills.jsonl") if "flops" in s]
    return {s: [run for run in found if run[0]["text"] == f"Zipf {s}"] for s in (1.3, 1.5, 1.8)}


def fitted(runs, size, of=lambda r: r["excess"]):
    """Return (log sizes, means of the cells' logs, the logs by cell), the smallest first."""
    cells = {}
    for _, r in runs:
        cells.setdefault(r[size], []).append(np.log(of(r)))
    logs = [np.array(cells[x]) for x in sorted(cells)]
    return np.log(sorted(cells)), np.array([y.mean() for y in logs]), logs


def test_the_exponents_of_almanacs_come_out_again():
    predicted = {"tokens": lambda s: (1 - s) / s, "parameters": lambda s: 1 - s}
    lines, ratios, misfits, known, of_facts = [], [], [], {4e11: [], 1.6e12: []}, []
    for s, found in almanac_runs().items():
        for size, own in (("tokens", [run for run in found if run[0]["channels"] == 64]),
                          ("parameters", [run for run in found if run[0]["channels"] < 64])):
            x, mean, cells = fitted(own, size)
            slope, at_0 = np.polyfit(x, mean, 1)
            left, k = mean - at_0 - slope * x, len(x)
            error = np.sqrt((left**2).sum() / (k - 2) / ((x - x.mean()) ** 2).sum())
            low, high = slope + error * stats.t.ppf([0.025, 0.975], k - 2)
            inside = [x for x in (1.3, 1.5, 1.8) if low < predicted[size](x) < high]
            misfit = sn.misfit([y - at_0 - slope * a for a, y in zip(x, cells, strict=True)], 2)
            local = np.diff(mean) / np.diff(x)
            assert (np.diff(local) > 0).all()  # "flatten"
            line = (f"| {s} | {size} | {len(own)} in {k} | {predicted[size](s):.2f} | "
                    f"{slope:.2f} | {low:.2f} to {high:.2f} | {', '.join(map(str, inside))} | "
                    f"{', '.join(f'{x:.2f}' for x in local)} | {misfit} |")
            assert line in sn.report(REPORT), line
            lines.append((size, s, inside))
            if size == "tokens":
                ratios.append(slope / predicted[size](s))
                x, mean, _ = fitted(own, size, lambda r: sum(
                    part for kind, part in r["skills"].items() if kind.startswith("fact")))
                of_facts.append(np.diff(mean) / np.diff(x))
            else:
                misfits.append(misfit.split()[-1])
        for x, r in found:
            if x["channels"] == 64 and x["flops"] > 1e11:
                kind = "fact, ranks to 10" if x["flops"] == 4e11 else "fact, to 100"
                known[x["flops"]].append(r["skills"][kind])
    assert [line for line in lines if len(line[2]) < 3] == [("tokens", 1.3, [1.5, 1.8])]
    finite = {"tokens": [], "parameters": []}
    for size, s, _ in lines:
        often = (np.arange(1, 16_385) + 5.0) ** -s
        left = np.cumsum(often[::-1])[::-1]  # from the n-th person on
        beside = 10 if size == "parameters" else often[100] / often[1000]
        finite[size].append(np.log(left[100] / left[1000]) / np.log(beside))
    early, late = (sn.listed(slopes, ".2f") for slopes in np.transpose(of_facts))
    sn.assert_says(
        REPORT,
        f"(p = {' '.join(misfits[:2])} {misfits[2]})",
        f"{min(ratios):.1f} to {max(ratios):.1f} times Zipf's law facts {late}",
        "n^-{:.2f} n^-{:.2f} n^-{:.2f} tokens -{:.2f} -{:.2f} -{:.2f}".format(
            *finite["parameters"], *finite["tokens"]),
        f"1e11 to 4e11 FLOPs {early} 4e11 to 1.6e12 {late}",
        f"4e11 FLOPs {max(known[4e11]):.4f} nats ten 1.6e12 {max(known[1.6e12]):.4f} ninety")


def test_the_noise_of_seeds_is_a_mixture():
    runs = [run for found in almanac_runs().values() for run in found]
    mentions = np.array([r["skills"]["mention"] for _, r in runs])
    cells = {}
    for s, r in runs:
        cells.setdefault((s["text"], s["flops"], s["channels"]), []).append(
            (r["excess"], r["excess"] - r["skills"]["mention"]))
    noise = [100 * np.sqrt(np.mean([np.var(x, ddof=1) / np.mean(x) ** 2 for x in some])) for some in
             zip(*(np.transpose(seeds) for seeds in cells.values()), strict=True)]
    ends = (mentions < 0.003) | (mentions > 0.03)
    step = np.median(mentions[mentions > 0.03])
    best = {}
    for s, r in sn.rows("09_scaling_laws.jsonl"):
        if s.get("rate") == 0.0046:
            best.setdefault(s["channels"], []).append(r["excess"])
    least = min(map(np.mean, best.values()))
    sn.assert_says(
        REPORT, f"below 0.003 above 0.03 nats in {ends.sum()} of {len(runs)} step of {step:.3f}",
        f"deviate by {noise[1]:.1f} % not {noise[0]:.1f} %",
        f"6.4e12 FLOPs {least:.3f} Without it")
