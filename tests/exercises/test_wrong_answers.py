"""Wrong answers: the judge says the cause, and names the faulty line or none.

Each fault of each exercise is planted in the solution (`test_exercises`); the rows here are answers
as readers write them, in other words than the solution's.
"""

import inspect
import re

import pytest

from npgpt.exercises import NAMES, function_of, load
from npgpt.exercises.judge import WrongError, judge_file
from npgpt.exercises.sheet import sheet, solution

HEAD = ("import math\nimport numpy as np\nfrom npgpt.exercises.merge import merge\n"
        "from npgpt.exercises.scores import scores\n\n\n")


# An exercise, the body of the function, words of its cause, and its faulty line: None if a line is
# missing or several are wrong.
ROWS = [
    ("merge", """
    out, i = [], 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
""", "the last token", "while i < len(ids) - 1:"),
    ("embedding_vjp", """
    d = np.zeros((V, dy_NC.shape[1]))
    for v in range(V):
        if (indices_N == v).any():
            d[v] = dy_NC[indices_N == v].mean(axis=0)
    return d
""", "averaged", "d[v] = dy_NC[indices_N == v].mean(axis=0)"),
    ("causal_mask", """
    return np.triu(np.ones((T, T), dtype=bool))
""", "rows and columns are swapped", "return np.triu(np.ones((T, T), dtype=bool))"),
    ("causal_mask", """
    return np.tri(T)
""", "True and False", "return np.tri(T)"),
    ("softmax_vjp", """
    return dy_NC * y_NC * (1 - y_NC)
""", "as in a sigmoid", "return dy_NC * y_NC * (1 - y_NC)"),
    ("hunt_attention", """
    score_TS = q_TD @ k_TD.T / np.sqrt(k_TD.shape[1])
    e_TS = np.exp(score_TS - score_TS.max(axis=1, keepdims=True))
    a_TS = e_TS / e_TS.sum(axis=1, keepdims=True)
    a_TS = np.where(np.tri(len(q_TD), dtype=bool), a_TS, 0)
    return a_TS @ v_TD
""", "masked only afterwards", None),
    ("layer_norm_vjp", """
    g = dy_NC * weight_C
    dx = (g - g.mean(axis=1, keepdims=True) - n_NC * (g * n_NC).mean(axis=1, keepdims=True))
    return dx * rstd_N[:, None], dy_NC * n_NC, dy_NC
""", "not summed over the rows", "return dx * rstd_N[:, None], dy_NC * n_NC, dy_NC"),
    ("residual_vjp", """
    d = norm_vjp(dy)
    return dy + f_vjp(d)
""", "backward the order is reversed", None),
    ("learning_rate", """
    if step < warmup:
        return peak * step / warmup
    along = min(1, (step - warmup) / (steps - warmup))
    return lowest + (peak - lowest) * 0.5 * (1 + math.cos(math.pi * along))
""", "step 0 has a rate of 0", "return peak * step / warmup"),
    ("clip", """
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    return a * min(1, longest / na), b * min(1, longest / nb)
""", "own length", None),
    ("split_heads", """
    B, T, C = x_BTC.shape
    return x_BTC.reshape(B, T, H, C // H)
""", "are not swapped", "return x_BTC.reshape(B, T, H, C // H)"),
    ("hunt_attention", """
    score_TS = q_TD @ k_TD.T / np.sqrt(k_TD.shape[1])
    score_TS = np.where(np.tri(len(q_TD), dtype=bool), -np.inf, score_TS)
    e_TS = np.exp(score_TS - score_TS.max(axis=1, keepdims=True))
    a_TS = e_TS / e_TS.sum(axis=1, keepdims=True)
    return a_TS @ v_TD
""", "the mask is the wrong way round",
     "score_TS = np.where(np.tri(len(q_TD), dtype=bool), -np.inf, score_TS)"),
    ("layer_norm_vjp", """
    g = dy_NC * weight_C
    dx = g - g.mean(1, keepdims=True) - n_NC * (g * n_NC).mean(1, keepdims=True)
    return dx * rstd_N[:, None], dy_NC.sum(axis=0), (dy_NC * n_NC).sum(axis=0)
""", "dweight and dbias are swapped",
     "return dx * rstd_N[:, None], dy_NC.sum(axis=0), (dy_NC * n_NC).sum(axis=0)"),
    ("merge", """
    out, i = [], 0
    while i < len(ids):
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
""", "past the end", "if ids[i] == pair[0] and ids[i + 1] == pair[1]:"),
    ("embed", """
    return tokens_VC[ids_BT] + positions_SC[ids_BT]
""", "chosen by the token", "return tokens_VC[ids_BT] + positions_SC[ids_BT]"),
    ("scores", """
    return q_HTD @ k_HSD.T / math.sqrt(q_HTD.shape[-1])
""", "turns the heads, too", "return q_HTD @ k_HSD.T / math.sqrt(q_HTD.shape[-1])"),
    ("attention", """
    score = scores(q_HTD, k_HTD) * np.tri(q_HTD.shape[1])
    e = np.exp(score - score.max(axis=-1, keepdims=True))
    a = e / e.sum(axis=-1, keepdims=True)
    return a @ v_HTD, a
""", "after a product with the mask", "score = scores(q_HTD, k_HTD) * np.tri(q_HTD.shape[1])"),
    ("cross_entropy_vjp", """
    e = np.exp(logits_NV - logits_NV.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    p[:, targets_N] -= 1
    return p / len(targets_N)
""", "at every target in every row", "p[:, targets_N] -= 1"),
    ("backward", """
    grads = [0.0] * len(sources)
    def along(i, grad):
        grads[i] += grad
        for source, grad in zip(sources[i], vjps[i](grad) if vjps[i] else ()):
            along(source, grad)
    along(len(sources) - 1, 1.0)
    return grads
""", "each path is followed", None),
]


def verdict(path, name, body):
    """Return the judge's message on a function with this body."""
    exercise = load(NAMES.index(name) + 1)
    path.write_text(f"{HEAD}def {name}{inspect.signature(function_of(exercise))}:{body}",
                    encoding="utf-8")
    with pytest.raises(WrongError) as refused:
        judge_file(exercise, path)
    return str(refused.value)


def named(said):
    """Return the lines of code that a message names."""
    return set(re.findall(r"line \d+:\n    (.*)", said))


def test_the_cause_is_said_and_the_line_that_is_named_is_the_faulty_one(tmp_path):
    count = 0
    for name, body, words, line in ROWS:
        said = verdict(tmp_path / "answer.py", name, body)
        assert words in said and named(said) <= {line}, (name, body, said)
        count += bool(named(said))
    assert count >= 6  # of the rows with a line


@pytest.mark.parametrize("number", range(1, len(NAMES) + 1), ids=NAMES)
def test_of_a_planted_fault_no_innocent_line_is_named(number, tmp_path):
    exercise, path = load(number), tmp_path / "answer.py"
    head = sheet(exercise, "a command").partition(f"def {NAMES[number - 1]}(")[0]
    right = solution(exercise).splitlines()
    for edits in exercise.FAULTS.values():
        text = solution(exercise, edits)
        path.write_text(head + text, encoding="utf-8")
        with pytest.raises(WrongError) as refused:
            judge_file(exercise, path)
        changed = {line.strip() for line in text.splitlines() if line not in right}
        assert named(str(refused.value)) <= changed, str(refused.value)


@pytest.mark.parametrize(("name", "body", "says", "not_said"), [
    ("layer_norm_vjp", "return dy_NC, dy_NC * n_NC, dy_NC.sum(axis=0)",
     "dweight has the shape (2, 3), and should have (3,)", "dx "),
    ("layer_norm_vjp", "return dy_NC, dy_NC, dy_NC.sum(axis=0)", "[[1.304, 0.947, -0.704]", "000"),
    ("count_parameters", "return V * C + T * C + L * (12 * C * C + 4 * C) + 2 * C",
     "124439808: 82,944 too few", "e+"),
    ("count_parameters", "return V * C + T * C + L * (12 * C * C + 13 * C) + 2 * C + 1",
     "124439808: 1 too many", "factor"),
    ("causal_mask", "return np.arange(T)[None, :] < np.arange(T)[:, None]",
     "mask[0, 0] is False, and should be True", "factor"),
    ("merge", "return [*ids[:1], *ids]", "ids has 6 entries, and should have 3: [1, 1, 2, 3, 1, 2]",
     "shape"),
    ("merge", "return [new_id, 3, pair[0] + 7]",
     "ids[2] is 8, and should be 9\nThe arguments", "factor"),
    ("learning_rate", "if step < warmup:\n        return 0.0\n    return lowest + (peak - lowest) *"
     " (1 + math.cos(math.pi * min(1.0, (step - warmup) / (steps - warmup)))) / 2",
     "is in line 9:\n    return 0.0", "return lowest"),
    ("backward", "return [2.0 * len(i) for i in sources]", "vjps [None, None, vjp]", "0x"),
])
def test_shapes_come_first_and_integers_and_booleans_are_shown_as_such(
    tmp_path, name, body, says, not_said
):
    said = verdict(tmp_path / "answer.py", name, f"\n    {body}\n")
    assert says in said and not_said not in said.replace(body, "")
