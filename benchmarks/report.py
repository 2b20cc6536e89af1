"""Tables of measurements, as Markdown, and the sections of RESULTS.md.

A section stands between two marks, so that one part can be measured again without the others.
"""

import re
from dataclasses import dataclass, field

from benchmarks.runners import OURS

HEAD = """# Results

Written by `python -m benchmarks`; `python -m benchmarks PART` measures one section again.
`benchmarks/measure.py` says how times are compared. A ratio above 1 means that the peer takes so
many times as long (or as much memory); it is the median over rounds in which both ran in turn, and
beside it stand the smallest and the largest of the rounds. Where other work shares the machine,
another day's ratios may differ by more than the rounds of one do.
"""
SECTION = re.compile(r"<!-- ([\w ]+) -->\n(.*?)<!-- end of \1 -->\n", re.S)
HEADLINE = "train_step"  # the part that benchmarks/README.md sums up


@dataclass
class Table:
    """title, what one column each is, rows of cells (str), and comparisons behind them, if any.

    text   a paragraph below the table
    """

    title: str
    columns: list
    rows: list
    text: str = ""
    comparisons: list = field(default_factory=list)

    def markdown(self):
        lines = [
            f"### {self.title}", "",
            _row(self.columns), _row(["---"] * len(self.columns)), *map(_row, self.rows),
        ]
        return "\n".join(lines + (["", self.text] if self.text else [])) + "\n"


def comparison_table(title, comparisons, text=""):
    """Return a `Table` with a row for each measured task, the baselines side by side."""
    by_what, baselines = {}, list(dict.fromkeys(c.baseline for c in comparisons))
    for c in comparisons:
        by_what.setdefault(c.what, {})[c.baseline] = c
    columns = ["", OURS]
    for baseline in baselines:
        columns += [baseline, "ratio (min – max)"]
    rows = [_comparison_row(what, found, baselines) for what, found in by_what.items()]
    return Table(title, [*columns, ""], rows, text, [c.as_dict() for c in comparisons])


def not_ahead(tables):
    """Return the paragraph that names every comparison with a ratio below 1."""
    measured = [c for table in tables for c in table.comparisons if "ratio" in c]
    worse = [
        f"- {c['what']} against {c['peer']}: {c['ratio']:.2f} "
        f"({c['low']:.2f} – {c['high']:.2f})"
        for c in measured if is_behind(c["ratio"])
    ]
    if not measured:
        return ""
    heading, count = "**Where this project is not ahead", len(measured)
    if not worse:
        return f"{heading}:** nowhere in these {count} comparisons.\n"
    return f"{heading}**, {len(worse)} of {count} comparisons:\n\n" + "\n".join(worse) + "\n"


def section(part, described, tables):
    """Return the Markdown of one part: where it was measured, its tables, where we are behind."""
    parts = [f"## {part}", described, *(table.markdown() for table in tables), not_ahead(tables)]
    return "\n\n".join(text.strip("\n") for text in parts if text) + "\n"


def with_section(document, part, text, order):
    """Return `document` with the section of `part` replaced, or put in its place in `order`."""
    document = document or HEAD
    sections = dict(SECTION.findall(document))
    sections[part] = text
    known = [name for name in order if name in sections]
    rest = [name for name in sections if name not in known]
    return HEAD + "".join(
        f"\n<!-- {name} -->\n{sections[name]}<!-- end of {name} -->\n" for name in known + rest
    )


def with_headline(document, machine, tables):
    """Return a document with a training step's ratios to the tuned peers between its marks."""
    found = [c for table in tables if table.title.startswith("Training step")
             for c in table.comparisons if c["peer"].endswith(", tuned")]
    models, cells = dict.fromkeys(c["what"].split(":")[0] for c in found), {}
    for c in found:
        ratio = f"{c['ratio']:.2f} ({c['low']:.2f} – {c['high']:.2f})" if "ratio" in c else ""
        cells.setdefault(c["peer"], {})[c["what"].split(":")[0]] = ratio
    lines = [
        f"{machine}:", "",
        _row(["A training step in float32: times as long as ours", *models]),
        _row(["---"] * (1 + len(models))),
        *(_row([name, *(row.get(model, "") for model in models)]) for name, row in cells.items()),
    ]
    marks = re.compile(rf"(<!-- benchmarks {HEADLINE} -->\n).*?(<!-- end -->)", re.S)
    return marks.sub(lambda m: m[1] + "\n".join(lines) + "\n" + m[2], document)


def is_behind(ratio):
    """Return whether a ratio is below 1 with the two digits of the tables: 0.998 is even."""
    return round(ratio, 2) < 1


def seconds(value):
    """Return a time in the unit that needs no zeros in front."""
    unit, scale = ("s", 1) if value >= 1 else ("ms", 1e3) if value >= 1e-3 else ("µs", 1e6)
    return f"{value * scale:.3g} {unit}"


def quantity(value, unit, flops=None):
    """Return a time, with the rate if FLOPs are known, or an amount of memory."""
    if unit == "B":
        return f"{value / 1e6:,.0f} MB"
    return seconds(value) + (f", {flops / value / 1e9:.0f} GFLOP/s" if flops else "")


def _comparison_row(what, found, baselines):
    first = next(iter(found.values()))
    cells = [what, quantity(first.ours, first.unit, first.flops)]
    for baseline in baselines:
        c = found.get(baseline)
        if c is None or c.ratio is None:
            cells += [c.note if c else "", ""]
        else:
            cells.append(quantity(c.theirs, c.unit, c.flops))
            cells.append(f"{c.ratio:.2f} ({c.low:.2f} – {c.high:.2f})")
    ratios = {name: c.ratio for name, c in found.items() if c.ratio is not None}
    return [*cells, _verdict(ratios)]


def _verdict(ratios):
    worse = [name for name, ratio in ratios.items() if is_behind(ratio)]
    even = [name for name, ratio in ratios.items() if round(ratio, 2) == 1]
    if worse:
        return f"**behind** {', '.join(worse)}"
    return f"even with {', '.join(even)}" if even else "ahead" if ratios else ""


def _row(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
