"""The autoregressive loop: `npgpt.generate.generate`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from npgpt.generate import decoding_steps, generate, stream, window_start
from npgpt.sampling import Sampling

V = 7
BLOCK_SIZE = 4
PLAIN, GREEDY = Sampling(), Sampling(temperature=0)

tokens = st.integers(0, V - 1)
prompts_T = arrays(np.int64, st.integers(1, 6), elements=tokens)
lengths = st.integers(0, 9)
seeds = st.integers(0, 2**64)


def by_row(next_logits):
    """Return a decoder that calls a function of token ids (B, T) on one context after another."""
    return lambda contexts: np.concatenate([next_logits(context[None]) for context in contexts])


@by_row
def next_logits(context):
    """Return logits that depend on every token of the context and their order: (B, T) -> (B, V).

    As in a GPT, a row's logits depend on that row alone.
    """
    T = context.shape[-1]
    assert T <= BLOCK_SIZE
    weights_TV = np.sin(np.outer(np.arange(1, T + 1), np.arange(V)))
    return 2 * np.cos(context @ weights_TV)


@by_row
def counting_up(context):
    """Return logits by which v + 1 follows token v with certainty."""
    return np.where(np.arange(V) == (context[..., -1:] + 1) % V, 0.0, -np.inf)


# ---- what comes out


def by_hand(prompts, n, sampling, seed, stop):
    """Return each prompt continued alone: draw, append, repeat; then its last token again."""
    texts = []
    for prompt_T, row_seed in zip(prompts, np.random.SeedSequence(seed).spawn(len(prompts)),
                                  strict=True):
        text, rng = prompt_T.tolist(), np.random.default_rng(row_seed)
        while len(text) < len(prompt_T) + n:
            context_T = np.array(text[window_start(len(text), BLOCK_SIZE) :])
            text.append(sampling.sample(next_logits([context_T])[0], rng, context_T))
            if text[-1] in stop:
                break
        texts.append(text)
    steps = max(len(text) - len(prompt) for text, prompt in zip(texts, prompts, strict=True))
    return [text + text[-1:] * (len(prompt) + steps - len(text))
            for text, prompt in zip(texts, prompts, strict=True)]


@given(
    st.lists(prompts_T, min_size=1, max_size=4), lengths, seeds, st.sets(tokens, max_size=2),
    st.sampled_from([PLAIN, Sampling(0.7, top_k=5, top_p=0.9, repetition_penalty=1.5)]),
)
def test_a_row_is_sample_append_repeat_whatever_is_beside_it(prompts, n, seed, stop, sampling):
    settings = {"block_size": BLOCK_SIZE, "seed": seed, "stop": stop}
    texts = generate(next_logits, prompts, n, sampling, **settings)
    assert [text_T.tolist() for text_T in texts] == by_hand(prompts, n, sampling, seed, stop)
    text_T = generate(next_logits, prompts[0], n, sampling, **settings)
    assert [text_T.tolist()] == by_hand(prompts[:1], n, sampling, seed, stop)
    new = list(stream(next_logits, prompts[0], n, sampling, **settings))
    assert text_T.tolist() == prompts[0].tolist() + new and text_T.dtype == np.int64
    assert all(type(token) is int for token in new)


# ---- seeds


def test_a_seed_repeats_its_text_and_no_seed_does_not():
    first, again, three, same = (
        generate(next_logits, [1], 40, PLAIN, block_size=BLOCK_SIZE, seed=seed).tolist()
        for seed in (None, None, 3, 3))
    assert first != again and three == same


# ---- the context


@given(st.integers(1, 300), st.integers(1, 40))
def test_the_window_moves_by_half_of_itself(length, block_size):
    start, step = window_start(length, block_size), max(1, block_size // 2)
    assert start % step == 0
    assert min(length, block_size - step + 1) <= length - start <= block_size
    assert window_start(length + 1, block_size) - start in (0, step)
    assert (start == 0) == (length <= block_size)


def test_whoever_reads_the_steps_can_end_a_row():
    found = []
    for step in decoding_steps(counting_up, [np.array([1]), np.array([4])], 9, PLAIN, block_size=4):
        found.append(step.next_B.tolist())
        step.finished_B[np.isin(step.next_B, [0, 3])] = True
    assert found == [[2, 5], [3, 6], [3, 0]]


def test_stream_asks_the_model_one_token_at_a_time():
    calls = []

    def recorded(contexts):
        calls.append([context.tolist() for context in contexts])
        return counting_up(contexts)

    tokens = stream(recorded, [0, 1], 5, PLAIN, block_size=2)
    assert calls == []
    assert next(tokens) == 2 and calls == [[[0, 1]]]
    assert next(tokens) == 3 and calls == [[[0, 1]], [[1, 2]]]


# ---- stopping


@pytest.mark.parametrize("stop", [4, [4], {6, 4}, np.array([4, 6]), np.int64(4)])
def test_the_stop_token_is_yielded_and_is_the_last(stop):
    assert list(stream(counting_up, [1], 9, PLAIN, block_size=BLOCK_SIZE, stop=stop)) == [2, 3, 4]


# ---- errors


@pytest.mark.parametrize("continue_", [generate, stream])
@pytest.mark.parametrize(("error", "prompt", "count", "stop", "advice"), [
    (ValueError, [], 3, None, "token"), (ValueError, 3, 3, None, r"\(\)|one prompt"),
    (TypeError, [1.0, 2.0], 3, None, "float64"), (TypeError, [True], 3, None, "bool"),
    (ValueError, [1], -1, None, "-1"), (TypeError, [1], 3, "\n", "ids"),
])
def test_a_bad_argument_is_an_error_before_the_model_is_asked(
    continue_, error, prompt, count, stop, advice
):
    with pytest.raises(error, match=advice):
        continue_(None, prompt, count, PLAIN, block_size=BLOCK_SIZE, stop=stop)


def test_stream_takes_one_prompt_only():
    with pytest.raises(ValueError, match=r"\(2, 1\): .*generate"):
        stream(next_logits, [[1], [2]], 1, PLAIN, block_size=BLOCK_SIZE)
