"""The trainings of study 14 on rows, and every number of 14_training.md again."""

import importlib
import itertools
import re

import ablation_trials
import letter_rows
import numpy as np
import pytest
import study_numbers as sn
from scipy import optimize

from autograd import Tensor

parts = importlib.import_module("12_rows")
REPORT = "14_training.md"
CRITERIA = {"excess": lambda r: r["excess"], "steps": None}  # None: steps to a level


def test_queries_and_keys_are_normalised():
    model = ablation_trials.new_model(parts.ON["Rows"] | {"variant": "QK-norm"})
    x = ablation_trials.stories("train", "rows").x_NT[:2]
    attention = model.h[0].attn
    q, k, _ = attention.heads(Tensor(100 * model.hidden(x).data))
    for part in (q, k):
        assert np.square(part.data).mean(axis=-1) == pytest.approx(1, rel=1e-3)


# ---- the numbers of the report


def test_a_step_of_muon_costs_more_flops():
    usual = {"steps": 4000, "optimizer": "Muon", "decay": 0.1, "lr": 0.02, "seed": 1}
    sides = [(64, 3 * 64), (64, 64), (64, 4 * 64), (4 * 64, 64)]  # of a block's matrices
    products = 2 * 5 * sum(2 * 2 * min(a, b) ** 2 * max(a, b) + 2 * min(a, b) ** 3
                           for a, b in sides)  # of two blocks, five iterations each
    step = {}
    for text, length in (("rows", 4000), ("tales", 3200)):
        (runs,) = [r for s, r in sn.rows("12_rows.jsonl") + sn.rows("14_training.jsonl")
                   if s.get("text", "tales") == text
                   and usual | {"steps": length} == {name: s[name] for name in usual}]
        step[text] = runs["flops"] / length
    rows_, tales_ = ((step[text] + products) / step[text] for text in ("rows", "tales"))
    shown = re.search(r"[|] steps [|] rows [|] 4,000 [|] ([\d.]+) .*?[|] ([\d.]+) ",
                      sn.report(REPORT))
    sn.assert_says(
        REPORT,
        f"take {step['rows'] / 1e8:.1f}e8 FLOPs on rows {step['tales'] / 1e8:.1f}e8 on tales",
        f"Muon add {products / 1e8:.1f}e8",
        f"step costs {rows_:.1f} {tales_:.1f} times AdamW's",
        f"its step costs {rows_:.1f} times",
        f"AdamW takes {float(shown[1]) / rows_:.2f} to 1.2 {float(shown[2]) / rows_:.2f} to 1.05")


def steps_at(result, length, goal):
    """Return where the curve of 40 points is first below the goal."""
    y, x = np.array(result["curve"]), 20 + length // 40 * np.arange(len(result["curve"]))
    i = next((i for i, value in enumerate(y) if value <= goal), None)
    return np.nan if i is None else np.interp(-goal, -y[i - 1 : i + 1], x[i - 1 : i + 1])


def with_interval(logs):
    """Return "mean (low to high), n = ..." of exponentials, 95 % by Student's t."""
    logs = np.array([x for x in logs if np.isfinite(x)])
    if len(logs) < 2:
        return "not reached"
    return "{:.2f} ({:.2f} to {:.2f}), n = {}".format(*np.exp(sn.student(logs)), len(logs))


def excess(result):
    return result["excess"]


def leveled(text, length, by=None):
    """Return for each level (AdamW's results by seed, Muon's), each at its best rate by excess, or
    by the steps to the level; {} where none came so far."""
    for of in steps_to(text, length):
        try:
            yield of, *(sn.at_best(by or of, text=text, steps=length, optimizer=name)[1]
                        for name in ("AdamW", "Muon"))
        except ValueError:
            yield of, {}, {}


def beside_it(found):
    """Return how many times as large a measure is at the rates beside the one of `found`.

    found   of `sn.at_best`
    """
    (decay, rate), _, first = found
    return sn.beside({lr: x for (of, lr), x in first.items() if of == decay}, rate)


def steps_to(text, length):
    """Return for 1.2 and 1.05 times the entropy a function: result -> steps."""
    nats, tokens = letter_rows.expectation()
    entropy = nats / tokens if text == "rows" else sn.entropy_of_tales()
    return [lambda r, x=x: steps_at(r, length, x * entropy) for x in (0.2, 0.05)]


@pytest.mark.parametrize(
    ("text", "length"), [("rows", 1000), ("rows", 4000), ("tales", 800), ("tales", 3200)])
def test_speed_ups_come_out_again(text, length):
    to, ends = steps_to(text, length), {}
    for name in ("AdamW", "Muon", "SGD"):
        found = sn.at_best(excess, text=text, steps=length, optimizer=name)
        (decay, rate), runs, _ = found
        steps = [np.median([np.nan_to_num(of(r), nan=np.inf) for r in runs.values()]) for of in to]
        ends[name] = np.median([*map(excess, runs.values())])
        line = (f"| {text} | {length:,} | {name} | {decay} | {rate} | {len(runs)} | "
                f"{ends[name]:.4f} | {steps[0]:,.0f} | {steps[1]:,.0f} |")
        line = f"{line.replace('inf', 'not reached')} {beside_it(found)} |"
        assert line in sn.report(REPORT), line
    factors = {}
    for criterion in CRITERIA if text == "rows" else ("excess",):
        logs = []
        for of, adam, muon in leveled(text, length, CRITERIA[criterion]):
            logs.append({seed: np.log(of(adam[seed]) / of(muon[seed]))
                         for seed in adam.keys() & muon.keys()})
            if length == 1000 and not logs[1:]:
                assert np.isnan([*map(of, adam.values())]).sum() == 1
                assert not np.isnan([*map(of, muon.values())]).any()
                sn.assert_says(REPORT, "n = 9 AdamW fails once")
        more = [logs[1][seed] - logs[0][seed] for seed in logs[0].keys() & logs[1].keys()]
        cells = [with_interval(x.values()) for x in logs] + [with_interval(more)]
        line = f"| {criterion} | {text} | {length:,} | {' | '.join(cells)} |"
        assert line in sn.report(REPORT), line
        factors[criterion] = [  # percent, then the ends of its interval
            text for cell in cells[:2] if cell[0].isdigit() for x in [re.findall(r"\d\.\d+", cell)]
            for text in (f"{100 * float(x[0]) - 100:.0f} %", f"{100 * float(x[1]) - 100:.0f} to "
                         f"{100 * float(x[2]) - 100:.0f}")]
        if length > 1000 or text == "tales":
            shrinks = cells[-1].split(", n")[0]
            assert shrinks in sn.report(REPORT).split("## Registered")[1], shrinks
            ratio, low, high = map(float, re.findall(r"\d\.\d+", shrinks))
            assert (low > 0.8 and high < 1.2) == ((criterion, length) in (
                ("excess", 4000), ("excess", 800)))
            assert (low > 1 / 1.2 and high < 1.2) == (length == 800)
    sn.assert_says(REPORT, *{
        1000: lambda: [f"1,000 Muon {ends['Muon']:.3f} AdamW {ends['AdamW']:.3f} "
                       f"{np.median([*sn.between().values()]):.3f} rate between"],
        4000: lambda: [
            "least final excess AdamW {} to 1.2 {} ({}) fewest steps {} ({}) {} ({})".format(
                *factors["excess"][:1], *factors["excess"][2:], *factors["steps"])],
        800: lambda: ["SGD {:.0f} % 800 steps ({:.0f} to {:.0f})".format(
            *100 * np.expm1(sn.of_sgd(text, length)))],
        3200: lambda: ["3,200 steps {} {} least excess (n = 5)".format(*factors["excess"][::2])],
    }[length]())


def test_three_seeds_chose_a_slow_rate_for_adamw():
    (to, _), usual = steps_to("rows", 4000), {"text": "rows", "steps": 4000}
    of = {rate: {seed: to(r) for seed, r in runs.items()} for rate in (2e-3, 4e-3) for runs in [
        {s["seed"]: r for s, r in sn.rows("12_rows.jsonl") + sn.rows("14_training.jsonl")
         if s.get("text") == "rows" and s["steps"] == 4000 and s["optimizer"] == "AdamW"
         and s["decay"] == 0 and s["lr"] == rate}]}
    quick, slow = (np.array([of[rate][seed] for seed in range(2, 12)]) for rate in of)
    assert sn.at_best(to, optimizer="AdamW", **usual)[0] == (0.0, 4e-3)
    chose = [np.exp(np.mean(np.log([of[rate][seed] for seed in sn.CHOOSE]))) for rate in of]
    more = 100 * np.expm1(sn.student(np.log(slow / quick)))
    _, muon, _ = sn.at_best(to, optimizer="Muon", **usual)
    factor = np.exp(sn.student(np.log(quick / [to(muon[seed]) for seed in range(2, 12)])))
    ratio = re.search(r"[|] steps [|] rows [|] 4,000 [|] ([\d.]+) .*?[|] ([\d.]+) ",
                      sn.report(REPORT))
    percent = [f"{100 * float(x) - 100:.0f}" for x in (factor[0], *ratio.groups())]
    sn.assert_says(
        REPORT, f"{percent[0]} % in place of {percent[1]}",
        f"chose 0.004 {100 * chose[0] / chose[1] - 100:.0f} % quicker {more[0]:.0f} % more "
        f"({more[1]:.0f} to {more[2]:.0f}) 0.002 {factor[0]:.2f} ({factor[1]:.2f} to "
        f"{factor[2]:.2f}) not {ratio[1]}",
        f"({factor[0] / 2.3:.2f} at 0.002)")
    least = re.search(r"[|] excess [|] rows [|] 4,000 [|] ([\d.]+) .*?[|] ([\d.]+) ",
                      sn.report(REPORT)).groups()
    least = [f"{100 * float(x) - 100:.0f} %" for x in least]
    sn.assert_says(sn.CONCEPTS, f"{usual['steps']:,} steps 1.2 AdamW {least[0]} {percent[0]} to "
                   f"{percent[1]} fewest steps 1.05 {least[1]} (not shown) {percent[2]} %")


def test_every_other_number_comes_out_again():
    lines, claims, batches = [], [], {}
    for B in (1, 2, 4, 8, 16, 32, 64, 128):
        found = sn.at_best(lambda r: r["steps"], text="rows", goal=0.2, batch_size=B)
        (_, rate), runs, _ = found
        assert [*runs] == [2, 3, 4, 5, 6]
        batches[B] = [r["steps"] for r in runs.values()]
        middle = np.median(batches[B])
        lines.append(f"| {B} | {rate} | {len(runs)} | {middle:,.0f} | {B * middle:,.0f} | "
                     f"{beside_it(found)} |")
    B, y_BR = np.array([*batches]), np.log([*batches.values()])  # by size and seed

    def fitted(y):
        return optimize.least_squares(
            lambda t: t[0] + np.log1p(np.exp(t[1]) / B) - y, (4.0, 5.0)).x

    logs_R2 = np.array([fitted(y) for y in y_BR.T])
    (S, B_crit), low, high = np.exp(np.transpose([sn.student(logs) for logs in logs_R2.T]))
    pooled, single = np.exp(fitted(y_BR.mean(axis=1))), np.exp(logs_R2[:, 1])
    gaps, others = {}, {}
    for n in (64, 200, 640, 2000):
        for dropout in (0.0, 0.3):
            found = sn.at_best(excess, stories=n, dropout=dropout, gap=True)
            (_, rate), runs, _ = found
            other, read = (np.array([r[name] for r in runs.values()])
                           for name in ("excess", "read_excess"))
            gap = sn.student(other - read)
            gaps[n, dropout], others[n, dropout] = gap[0], np.log(other)
            lines.append(
                f"| {n} | {dropout} | {6400 / n} | {rate} | {len(other)} | {other.mean():.4f} | "
                "{:.4f} | {:.4f} ({:.4f} to {:.4f}) | {} |".format(
                    read.mean(), *gap, beside_it(found)))
            if (n, dropout) == (64, 0):
                claims.append(f"read is {-read.mean():.2f} below 0 others {other.mean():.1f}")
    percent = {}  # what dropout does to the excess on others
    for n in (64, 200, 640, 2000):
        percent[n] = 100 * np.expm1(sn.student(others[n, 0.3] - others[n, 0.0]))
    assert percent[640][1] < 0 < percent[640][2]  # "not shown"
    middle = {size: np.median(steps) for size, steps in batches.items()}
    assert [line for line in lines if line not in sn.report(REPORT)] == []
    rows = "{:.0f} % {:.0f} {:.0f}".format(*100 * np.expm1(sn.of_sgd("rows", 1000)))
    sn.assert_says(
        sn.CONCEPTS, f"dropout of 0.3 {-percent[64][0]:.0f} % three times {percent[2000][0]:.0f} %",
        f"rows SGD {rows}",
        f"100 readings of 64 tales {claims[-1].split()[2]} nats {claims[-1].split()[-1]} others")
    sn.assert_says(
        REPORT,
        *claims,
        f"about {B_crit:.0f} ({low[1]:.0f} to {high[1]:.0f} 8 rows {middle[8]:.0f} steps 128 "
        f"{middle[128]:.0f} {16 * middle[128] / middle[8]:.1f} times",
        f"S is {S:.1f} ({low[0]:.1f} to {high[0]:.1f}) B_crit {B_crit:.1f} ({low[1]:.1f} to "
        f"{high[1]:.1f}) single seeds {min(single):.0f} to {max(single):.0f}",
        "all seeds at once {:.1f} and {:.1f}".format(*pooled),
        sn.misfit(y_BR - np.log(pooled[0] * (1 + pooled[1] / B))[:, None], 2),
        f"Dropout of 0.3 {-percent[64][0]:.0f} {-percent[200][0]:.0f} % 100 32 at 10 "
        f"{max(abs(percent[640][1:])):.0f} % at 3 {percent[2000][0]:.0f} %",
        "at 100 readings {:.0f} % ({:+.0f} to {:+.0f}) 32 {:.0f} % ({:+.0f} to {:+.0f}) 10 "
        "{:+.0f} % ({:+.0f} to {:+.0f}) 3 {:+.0f} % ({:+.0f} to {:+.0f})".format(
            *itertools.chain(*percent.values())),
        f"B_crit {B_crit:.1f} ({low[1]:.1f} to {high[1]:.1f}) |",
        f"{gaps[64, 0]:.2f} nats 64 tales {gaps[2000, 0]:.3f} 2,000 dropout {gaps[64, 0.3]:.2f} to "
        f"{gaps[2000, 0.3]:.3f}")
