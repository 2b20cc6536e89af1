"""The tables and figures of `08_ablations.py`, made from its numbers alone."""

from ablation_numbers import NOTHING, SURE, B, verdicts, written
from ablation_rows import NORMS, ROWS
from ablations import BASE, LEARNED
from example import plain_ticks, wrapped
from laboratory import p_text

from npgpt import plots

MARKERS = ("o", "s", "^", "v", "D", "P")
TICKS = (0.03, 0.1, 0.3, 1, 3)
GROUPS = {row.group for row in ROWS}
TITLE = "Most choices matter little at this size; the spread over seeds shows which do"
KEY = ("circle, square, triangle: seeds 1, 2, 3; bar: their mean; grey: mean, least and largest of "
       "the row that it is compared with, mostly the base")


def report(study):
    """Return a document in Markdown."""
    lines = [
        "# Why these choices", "",
        "Written by `python examples/08_ablations.py` (`--report` from the numbers in "
        f"08_ablations.jsonl). The base is a GPT of {study.of(B, 'parameters')[0]:,} parameters "
        f"({BASE['n_layer']} blocks of {BASE['n_embd']} channels), trained on "
        f"{BASE['steps'] * BASE['batch_size']:,} tales, a word a token, for {BASE['steps']} steps "
        f"of {BASE['batch_size']} stories, {study.of(B, 'flops')[0]:.2g} FLOPs, at a rate of "
        f"{BASE['lr']:g}. Each row changes one thing. The measure is the loss on 1,000 other "
        "stories above the least that is possible on them, in nats per token: the grammar gives "
        "that exactly. Steps are those until the loss in training, over 160 stories, is "
        f"{LEARNED} times the entropy. Of several rates, all were tried with seed 1, and the best "
        "of them is shown; as that seed is in the mean, this flatters it a little. * marks a rate "
        "at the end of those tried, where a still better one may be outside.", "",
        "A number is the mean over n seeds, in parentheses the least and the largest. The "
        "difference is to the base, or to the row named, for equal seeds, which read the same "
        "stories in the same order and, where the shapes agree, begin with the same weights; its "
        "interval of 95 % and p are by Student's t of pairs. Seeds are few: a difference has to be "
        "several times its spread to be found. Of tests at 5 %, one in twenty finds a difference "
        f"where there is none; here are {len(_tests(study))}, and their p are as they are. The "
        "verdicts below are by p corrected for their number (Holm, 1979).", "",
        "![each choice and the spread over seeds](figures/08_ablations.png)", "",
        "![learning rates, a gradient's noise, a leak](figures/08_details.png)", "",
        "## Rows", "", *_rows(study), "", "## Learning rates", "", *_rates(study), "",
        "## Norms by learning rate", "",
        "The excess with seed 1; in bold where 1.05 times the entropy is reached.", "",
        *_norms(study), "",
        "## Batches", "",
        f"What it takes to come to {LEARNED} times the entropy: fewer steps of more stories, or "
        "fewer tokens.", "", *_batches(study), "",
        "## Sentences and verdicts", "", *_verdicts(study), "",
    ]
    return "\n".join(map(wrapped, lines))


def _tests(study):
    found = [study.difference(name) for name in study.found if name != B and study.has(name)]
    return [difference for difference in found if difference and difference.n > 1]


def _rows(study):
    yield "| | rate | parameters | FLOPs | n | excess | steps | difference | 95 % | p |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for (group, label), found in study.found.items():
        if not found or group == "Learning rate":
            continue
        name, row = (group, label), study.rows[group, label]
        rate, at_end = study.rate(name)
        against = "" if row.against in (B, name) else f" to {row.against[1]}"
        yield (
            f"| {group}: {label} | {rate:g}{'*' * at_end} | {study.of(name, 'parameters')[0]:,} | "
            f"{study.of(name, 'flops')[0]:.2g} | {len(found)} | "
            f"{_numbers(study, name, 'excess')} | {_numbers(study, name, 'steps_to', 'steps')} | "
            f"{_difference(None if name in (B, row.against) else study.difference(name), against)}"
        )


def _rates(study):
    yield "| rate | n | excess | steps | diverged |"
    yield "| --- | --- | --- | --- | --- |"
    for (group, label), found in study.found.items():
        if found and group == "Learning rate":
            stopped = [r["stopped"] for r in found.values() if r["stopped"]]
            yield (f"| {label} | {len(found)} | {_numbers(study, (group, label), 'excess')} | "
                   f"{_numbers(study, (group, label), 'steps_to', 'steps')} | "
                   f"{'; '.join(stopped) or 'no'} |")


def _norms(study):
    names = [name for name in study.found if name[0] == NORMS]
    tried = {name: study.rates_tried(name) for name in names}
    rates = sorted({rate for found in tried.values() for rate in found})
    yield "| | " + " | ".join(f"{rate:g}" for rate in rates) + " |"
    yield "| --- |" + " --- |" * len(rates)
    for name, found in tried.items():
        cells = [_norm_cell(found[rate]) if rate in found else "" for rate in rates]
        yield f"| {name[1]} | " + " | ".join(cells) + " |"


def _norm_cell(result):
    excess = result["excess"]
    if excess is None:
        return "diverged"
    text = f"{excess:.4f}" if excess < 1000 else f"{excess:.0e}"
    return f"**{text}**" if result["steps_to"] else text


def _batches(study):
    yield "| | rate | steps | tokens | excess |"
    yield "| --- | --- | --- | --- | --- |"
    for name in [B, *(name for name in study.found if name[0].startswith("Batches"))]:
        if study.has(name):
            steps, tokens = (_numbers(study, name, m, "steps") for m in ("steps_to", "tokens_to"))
            yield (f"| {': '.join(name)} | {study.rate(name)[0]:g} | {steps} | {tokens} | "
                   f"{_numbers(study, name, 'excess')} |")


def _numbers(study, name, measure, unit="nats"):
    numbers = study.of(name, measure)
    missing = sum(x is None for x in numbers)
    if not missing:
        return written(study.spread(name, measure), unit)
    return "none" if missing == len(numbers) else f"{len(numbers) - missing} of {len(numbers)}"


def _difference(difference, against=""):
    """Return the last three cells of a row."""
    if difference is None:
        return "| | |"
    text = f"{difference.mean:+.4f}{against}"
    if difference.n < 2:
        return f"{text} | one seed | |"
    return f"{text} | {difference.low:+.4f} to {difference.high:+.4f} | {p_text(difference.p)} |"


def _verdicts(study):
    for v in verdicts(study):
        d, tested = v.difference, ""
        if d and d.n > 1:
            form = "{:+.0f}" if v.unit == "steps" else "{:+.4f}"
            mean, low, high = (form.format(x) for x in (d.mean, d.low, d.high))
            tested = (f" Difference in its favour: {mean} {v.unit} ({low} to {high}), n = {d.n}, "
                      f"p {p_text(d.p, '= ')}.")
        yield f"- **{v.sentence}**: {v.verdict}. {v.text}{tested}"


def summary(study):
    """Return the part of CONCEPTS.md, in Markdown."""
    found = verdicts(study)
    below = [v for v in found if v.difference and v.difference.p < SURE]
    hints = [v for v in below if v.verdict.startswith("a hint")]
    tests = sum(v.difference is not None for v in found)
    lines = [
        "Effect: by how much the loss is lower where the sentence says that it is, in nats per "
        "token. Spread: the standard deviation of that over n seeds. The base is a GPT of "
        f"{study.of(B, 'parameters')[0]:,} parameters, {written(study.spread(B))} nats above the "
        "entropy in the end; what is behind each line is in `examples/08_ablations.md`. Of "
        f"{tests} tests at 5 %, {SURE * tests:.0f} or so find a difference by chance. {len(below)} "
        f"have p < 0.05; {len(below) - len(hints)} of them remain after Holm's correction for so "
        f"many tests, and the other {len(hints)} are called a hint. Where no difference is found, "
        "a larger one than said is unlikely: it is outside the 95 % interval.", "",
        "| Sentence | n | effect | spread | p | verdict |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_in_short(verdict) for verdict in found), "",
    ]
    return "\n".join(map(wrapped, lines))


def _in_short(v):
    d = v.difference
    if d is None:
        return f"| {v.sentence} | | {v.text} | | | {v.verdict} |"
    form = "{:+.0f} steps" if v.unit == "steps" else "{:+.4f}"
    spread = form.format(d.deviation).lstrip("+") if d.n > 1 else ""
    p, verdict = p_text(d.p) if d.n > 1 else "", v.verdict
    if verdict == NOTHING:
        verdict += f", none above {form.format(max(-d.low, d.high)).lstrip('+')}"
    return f"| {v.sentence} | {d.n} | {form.format(d.mean)} | {spread} | {p} | {verdict} |"


# ---- figures


def draw_forest(path, study):
    """Excess loss of each row, a mark for each seed; the band is that of the row compared with."""
    groups = list(dict.fromkeys(group for group, _ in study.found if group != "Learning rate"))
    there = [name for name in study.found if study.has(name)]
    rows = [name for group in groups for name in there if name[0] == group]
    half = _break(rows)
    drawing, axes = plots.figure(9.6, 0.165 * max(half, len(rows) - half) + 1.6, 1, 2, sharex=True)
    limits = _limits(study, rows)
    for panel, names in zip(axes, (rows[:half], rows[half:]), strict=True):
        _forest(panel, study, names, limits)
    drawing.suptitle(TITLE)
    drawing.supxlabel(KEY, fontsize=8)
    drawing.get_layout_engine().set(w_pad=0.1)
    return plots.save(drawing, path)


def _break(rows):
    """Return where the second column begins: with a group, near the middle."""
    starts = [i for i in range(1, len(rows)) if rows[i][0] != rows[i - 1][0]]
    return min(starts, key=lambda i: abs(i - len(rows) / 2), default=len(rows))


def _limits(study, rows):
    numbers = [x for name in rows for x in study.of(name) if x is not None and x > 0]
    return (min(numbers) / 1.3, max(numbers) * 1.6) if numbers else (0.01, 1)


def _forest(axes, study, names, limits):
    ticks, y, group = {}, 0, None
    axes.set(xscale="log", xlabel="loss above the entropy, nats per token")
    for name in names:
        if name[0] != group:
            group, y = name[0], y + 0.7
            ticks[y] = group
            y += 1
        ticks[y] = name[1]
        _landmark(axes, y, study, study.rows[name].against)
        _marks(axes, y, study, name)
        y += 1
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_ylim(y, 0)
    axes.tick_params(axis="y", labelsize=7, length=0)
    for tick in axes.get_yticklabels():
        tick.set_fontweight("bold" if tick.get_text() in GROUPS else "normal")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.set_xlim(limits)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)


def _landmark(axes, y, study, name):
    """Where the row is that this one is compared with."""
    found = study.has(name) and study.spread(name)
    if found:
        axes.fill_betweenx((y - 0.5, y + 0.5), found.least, found.largest, color="#cccccc",
                           linewidth=0)
        axes.plot([found.mean] * 2, [y - 0.5, y + 0.5], **plots.LANDMARK)


def _marks(axes, y, study, name):
    numbers, colour = study.of(name), plots.COLOURS[0]
    positive = [x for x in numbers if x is not None and x > 0]
    for x, marker in zip(numbers, MARKERS, strict=False):
        if x is not None and x > 0:
            axes.plot(x, y, marker, color=colour, markersize=4.5, markerfacecolor="none")
    if len(positive) == len(numbers):
        mean = sum(positive) / len(positive)
        axes.plot([mean, mean], [y - 0.35, y + 0.35], color=plots.INK, linewidth=1.3)
    below, diverged = ([x for x in numbers if x is not None and x <= 0], numbers.count(None))
    note = f"← below the entropy: {sum(below) / len(below):.2f}" if below else ""
    if diverged:
        note = f"{diverged} of {len(numbers)} diverged"
    axes.annotate(note, (0.97, y), xycoords=("axes fraction", "data"), fontsize=8, va="center",
                  ha="right")


def draw_details(path, study):
    """Excess by learning rate; noise of the gradient by batch size; the curve of a leak: those of
    which there are numbers."""
    there = {
        _draw_rates: any(study.has(name) for name in study.found if name[0] == "Learning rate"),
        _draw_noise: study.noise, _draw_leak: study.has(B, ("Attention", "mask off")),
    }
    panels = [draw for draw, has_numbers in there.items() if has_numbers]
    drawing, axes = plots.figure(4 * len(panels), 3.7, 1, len(panels), squeeze=False)
    for draw, panel in zip(panels, axes[0], strict=True):
        draw(panel, study)
    return plots.save(drawing, path)


def _draw_rates(axes, study):
    names = [name for name in study.found if name[0] == "Learning rate" and study.has(name)]
    marks, means, lost, blue = [], {}, [], plots.COLOURS[0]
    for name in names:
        rate, numbers = float(name[1]), [x for x in study.of(name) if x is not None]
        marks += [(rate, x) for x in numbers]
        if len(numbers) == len(study.of(name)):
            means[rate] = sum(numbers) / len(numbers)
        else:
            lost.append(rate)
    axes.plot(*zip(*marks, strict=True), "o", color=blue, markersize=4, markerfacecolor="none")
    axes.plot(means.keys(), means.values(), color=blue, linewidth=0.9)
    axes.annotate("plateau", (max(means), means[max(means)]), (-4, -14), ha="right", **plots.NOTE)
    if lost:
        above = axes.get_xaxis_transform()  # y = 1: at the upper edge, whatever the losses are
        axes.plot(lost, [1] * len(lost), "x", color=blue, transform=above, clip_on=False)
        axes.annotate("NaN", (lost[0], 1), (0, -14), xycoords=above, **plots.NOTE)
    axes.axvspan(1e-4, 5e-4, color="#dddddd", linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="nats above the entropy",
             title="typical rates (grey) are low here")
    plain_ticks(axes.xaxis, (0.0001, 0.01, 1, 100))
    plain_ticks(axes.yaxis, TICKS)


def _draw_noise(axes, study):
    for (trial, found), marker in zip(study.noise, MARKERS, strict=False):
        axes.plot(trial["sizes"], found, marker, color=plots.COLOURS[0], markerfacecolor="none",
                  label=f"seed {trial['seed']}")
    trial, found = study.noise[0]
    sizes = trial["sizes"]
    axes.plot(sizes, [found[0] * (sizes[0] / b) ** 0.5 for b in sizes], **plots.LANDMARK,
              label="1/√B")
    axes.legend(frameon=False, fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="stories in a batch, B",
             ylabel="noise / length of the gradient",
             title="a gradient's noise falls as 1/√B")
    plain_ticks(axes.xaxis, sizes)
    plain_ticks(axes.yaxis, (1.5, 2, 3, 4, 6, 8))


def _draw_leak(axes, study):
    leaking = ("Attention", "mask off")
    for name, label, style in ((B, "causal", "-"), (leaking, "mask off", "--")):
        curve = next(iter(study.found[name].values()))["curve"]
        steps = [BASE["steps"] * (i + 1) / len(curve) for i in range(len(curve))]
        axes.plot(steps, curve, style, label=label, color=plots.COLOURS[style == "--"])
    axes.axhline(0, **plots.LANDMARK)
    axes.annotate("the entropy", (0, 0), (4, -10), xycoords=("axes fraction", "data"),
                  **plots.NOTE)
    axes.set(xlabel="step", ylabel="nats above the entropy, in training",
             title="a leak goes below the entropy")
    axes.legend(frameon=False, fontsize=8)
