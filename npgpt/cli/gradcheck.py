"""`npgpt gradcheck`: a table of every explicit gradient against finite differences.

The column "transpose" has the gap between <u, J v> and <J^T u, v>, with J v by a complex step;
"forms" has in how many forms the arguments came: memory layouts, an axis as a NumPy integer.
"""

import time
from functools import partial

import numpy as np

from autograd import OPS, Tensor, backend, cross_entropy, linear, rms_norm, tanh
from autograd.gradcheck import EPS, cases_of, check_op, error_by_step, examine
from autograd.gradcheck_forms import check_forms
from npgpt.cli import print_json
from npgpt.config import TrainConfig
from npgpt.models import ARCHITECTURES, architecture
from npgpt.support import plots

ROW = "{:<30}{:>8}{:>7}  {:>11}{:>11}{:>9}  {}"


def add_arguments(parser):
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--op", metavar="OP", help="one op; default: all")
    what.add_argument(
        "--model", action="store_true", help="the loss of a small model, by parameter"
    )
    what.add_argument("--plot", metavar="FILE.png", help="draw the error against the step size")
    add("--arch", choices=ARCHITECTURES, help="the model's architecture; default gpt, by --model")
    add("--seed", type=int, default=0, metavar="S", help="seed of the arrays; default 0")
    add("--json", action="store_true", help="one JSON object")


def run(args):
    if args.plot:
        path = str(_plot(args))
        return print_json({"picture": path}) if args.json else print(f"picture {path}")
    arch = args.arch or (args.model and TrainConfig.arch)
    first = ("parameter", "entries", "") if arch else ("op", "cases", "forms")
    found = _model_rows(arch, args.seed) if arch else _op_rows(args.op, args.seed)
    started, rows = time.perf_counter(), []
    say = partial(print, flush=True) if not args.json else lambda text: None
    say(f"gradients by the backend {backend.name}\n")  # before the first kernel compiles
    say(ROW.format(*first, "worst error", "transpose", "seconds", "worst entry (case)"))
    for row in found:
        rows.append(row)
        errors = ("-" if row[name] is None else f"{row[name]:.1e}"
                  for name in ("error", "transpose"))
        where = f"{'WRONG at ' if row['failure'] else ''}{row['where']}"
        counts = row["samples"], len(row.get("forms", ())) or ""
        say(ROW.format(row["name"], *counts, *errors, f"{row['seconds']:.2f}", where))
    wrong = [row["failure"] for row in rows if row["failure"]]
    say(f"\n{len(rows) - len(wrong)} of {len(rows)} right, {time.perf_counter() - started:.1f} s")
    if args.json:
        print_json({"rows": rows, "passed": not wrong, "backend": backend.name})
    if wrong:
        raise ValueError("\n\n".join([*wrong, "compare each VJP with its op's equation"]))


def _op_rows(op, seed):
    """Yield a row for an op, or for each, as soon as it is checked."""
    for name in [op] if op else OPS:
        started = time.perf_counter()
        samples, report = len(cases_of(name)), check_op(name, seed)
        forms = check_forms(name, seed) if report.passed else []
        worst = report.worst
        yield {"name": name, "samples": samples, "forms": forms, "error": worst.error,
               "transpose": report.transpose, "seconds": time.perf_counter() - started,
               "where": f"{worst.name}{list(worst.index)} ({worst.case})",
               "failure": None if report.passed else str(report)}


def _model_rows(arch, seed):
    """Yield a row for each parameter of a small model."""
    model, f = architecture(arch).small_model(seed)
    started = time.perf_counter()
    report = examine(f, model.parameters(), seed=seed)
    seconds = (time.perf_counter() - started) / len(report.inputs)
    for found in report.inputs:
        yield {"name": found.name, "samples": found.compared, "error": found.error,
               "transpose": None, "where": str(list(found.index)), "seconds": seconds,
               "failure": str(found) if found.wrong else None}


def _plot(args):
    """Draw the error against the step: a valley for differences, none for complex steps."""
    plots.figure()  # raises an error first if matplotlib is missing
    rng, steps = np.random.default_rng(args.seed), 2.0 ** np.arange(-40, 1)
    shapes = {"x": (4, 6), "scale": (6,), "weight": (6, 5), "bias": (5,)}
    inputs = {n: Tensor(rng.normal(size=s), requires_grad=True) for n, s in shapes.items()}

    def loss(x, scale, weight, bias):
        return cross_entropy(tanh(linear(rms_norm(x, scale), weight, bias)), np.arange(4))

    dtypes = {
        "differences, float32": np.float32, "differences, float64": np.float64,
        "complex steps": np.complex128,
    }
    curves = {name: (steps, error_by_step(loss, inputs, steps, dtype, args.seed))
              for name, dtype in dtypes.items()}
    return plots.curves_picture(
        args.plot, curves, log="xy", xlabel="step",
        ylabel="error relative to the largest gradient",
        title="A finite difference is off by its formula (right) or by rounding (left)",
        marks=[(f"the step used, {EPS:.1e}", EPS)],
    )
