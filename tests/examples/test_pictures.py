"""What the pictures of CONCEPTS.md show is what the models do."""

import json
import re
from pathlib import Path

import curves
import diagrams
import numpy as np
import pytest
import story_by_budget
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import module_of

from npgpt import GPT, Bert, BertConfig, GPTConfig, tales
from npgpt.models.t5 import T5, T5Config
from npgpt.support import plots

ROOT = Path(__file__).parents[2]
FIGURES = sorted((ROOT / "examples").rglob("figures/*.png"))
STORIES = tales.stories(tales.generate(20_000, seed=3))


def depends(outputs, ids_T):
    """Return which output position (rows) moves when the token of a position (columns) does."""
    found = []
    for position in range(len(ids_T)):
        changed_T = ids_T.copy()
        changed_T[position] += 1
        found.append(np.abs(outputs(changed_T) - outputs(ids_T)).max(axis=-1) > 1e-9)
    return np.array(found).T


def test_a_gpt_reads_what_came_before_and_a_bert_both_sides():
    ids, drawn = np.random.default_rng(0).integers(0, 9, 6), diagrams.may_read(0, 6)
    gpt = GPT(GPTConfig(10, 6, 1, 2, 8), seed=0, dtype=np.float64)
    bert = Bert(BertConfig(10, 6, 1, 2, 8), seed=0, dtype=np.float64)
    assert (drawn["GPT"] == depends(lambda ids_T: gpt(ids_T[None])[0].data[0], ids)).all()
    assert (drawn["BERT"] == depends(lambda ids_T: bert.hidden(ids_T[None]).data[0], ids)).all()


def test_a_t5_reads_the_source_both_ways_and_its_own_words_from_the_left():
    ids, drawn = np.random.default_rng(0).integers(0, 9, 9), diagrams.may_read(5, 4)
    t5 = T5(T5Config(10, 16, n_layer=1, n_head=2, n_embd=8), seed=0, dtype=np.float64)

    def both(ids_N):
        encoded = t5.encode(ids_N[None, :5])
        return np.concatenate([encoded.data[0], t5.decode(ids_N[None, 5:], encoded).data[0]])

    assert (drawn["T5"] == depends(both, ids)).all()


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
              for c in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))]
    return np.dot(linear, (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("background", range(2))
def test_query_key_and_value_are_legible_on_light_and_on_dark(background):
    style = (ROOT / "npgpt/look/page/style.css").read_text(encoding="utf-8")
    paper = re.search(r"--paper: light-dark\((#\w+), (#\w+)\)", style)[background + 1]
    for colour in (plots.QUERY, plots.KEY, plots.VALUE):  # 3 : 1, as WCAG asks of graphics
        light, dark = sorted((luminance(colour), luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 3
    assert len({plots.QUERY, plots.KEY, plots.VALUE}) == 3


@given(st.sampled_from(STORIES[1:]), st.integers(0, 1000))
def test_words_are_right_up_to_the_first_fault(story, i):
    words = story.split()
    i %= len(words)
    assert story_by_budget.right_words(story) == len(words)
    changed = " ".join([*words[:i], words[i] + "x", *words[i + 1 :]])
    assert story_by_budget.right_words(changed) == i


def test_a_wrong_pronoun_is_a_fault():
    right = next(story for story in STORIES if story.startswith("One") and ", so he " in story)
    before, after = right.split(", so he ")
    assert story_by_budget.right_words(f"{before}, so she {after}") == len(before.split()) + 1


def test_the_steps_of_attention_and_the_valley_are_those_of_the_text():
    snippets = module_of(ROOT / "examples" / "snippets.py")
    text = (ROOT / "CONCEPTS.md").read_text(encoding="utf-8")
    marks = "x_TC.mean(", "def softmax_by_hand", "W_q = ", "score_TT = q_TD", "def descend"
    its = [s for s in snippets.snippets(text) if any(mark in s.code for mark in marks)]
    names = "curvature", "bottom", "softmax_by_hand(scores_T)", "weights_T", "weight_TT", "w"
    ends = ("import json\nimport numpy as np, autograd",
            f"print(json.dumps([tokens, {', '.join(f'({name}).tolist()' for name in names)}]))")
    begin, end = (snippets.Snippet(1, code, "", (0, 0)) for code in ends)
    tokens, *found = json.loads(snippets.what_they_print([begin, *its[:4], *its[-1:], end], "")[-1])
    curvature, bottom, paths = curves.down_the_valley()
    words, steps = diagrams.attention_steps()
    average, own, asked, masked = steps.values()
    assert [*words] == tokens and (average == 1 / 4).all()
    drawn = curvature, bottom, own[3], asked[3], masked, paths["AdamW"][-1]  # the text's last way
    assert all(map(np.allclose, drawn, found))


def test_gradients_and_spreads_by_depth_are_as_the_titles_say():
    gradient, spread = curves.through_blocks("pre-norm", 12)
    np.testing.assert_allclose(gradient, 1, rtol=1e-5)
    assert spread[-1] > 0.4
    post = np.log2(curves.through_blocks("post-norm", 12)[0])
    assert (np.diff(post) > 0).all() and 1 / 4 < (post[-1] - post[0]) / (2 * 11) < 1 / 2
    gradient, spread = curves.through_blocks("no residuals", 12)
    assert 0.1 < min(gradient) < 10 and spread[0] > 0.9 and spread[-1] < 0.01


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.name)
def test_each_figure_stands_in_a_document_and_is_small(path):
    documents = [ROOT / "CONCEPTS.md", *(ROOT / "examples").rglob("*.md")]
    assert any(f"figures/{path.name})" in text.read_text(encoding="utf-8") for text in documents)
    assert path.stat().st_size < 100_000
