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
prompts_BT = arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=tokens)
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


def recorder(calls):
    """Return `counting_up`, recording each context that it is called with."""

    def next_logits_and_note(contexts):
        calls.append([context.tolist() for context in contexts])
        return counting_up(contexts)

    return next_logits_and_note


# ---- what comes out


@given(prompts_T, lengths, seeds)
def test_stream_yields_the_tokens_that_generate_appends(prompt_T, n, seed):
    new = list(stream(next_logits, prompt_T, n, PLAIN, block_size=BLOCK_SIZE, seed=seed))
    text_T = generate(next_logits, prompt_T, n, PLAIN, block_size=BLOCK_SIZE, seed=seed)
    assert len(new) == n and all(type(token) is int for token in new)
    assert text_T.dtype == np.int64
    assert text_T.tolist() == prompt_T.tolist() + new


@given(prompts_T, lengths, seeds)
def test_the_loop_is_sample_append_repeat(prompt_T, n, seed):
    sampling = Sampling(temperature=0.7, top_k=5, top_p=0.9)
    text_T = generate(next_logits, prompt_T, n, sampling, block_size=BLOCK_SIZE, seed=seed)
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
    expected = prompt_T.tolist()
    for _ in range(n):
        context_T = np.array(expected[window_start(len(expected), BLOCK_SIZE) :])
        logits_V = next_logits(context_T[None])[0]
        expected.append(sampling.draw(logits_V, rng))
    assert text_T.tolist() == expected


@given(prompts_BT, lengths, seeds)
def test_a_batch_keeps_its_rank_and_starts_with_its_prompts(prompt_BT, n, seed):
    B, T = prompt_BT.shape
    text_BT = generate(next_logits, prompt_BT, n, PLAIN, block_size=BLOCK_SIZE, seed=seed)
    assert text_BT.shape == (B, T + n)
    assert (text_BT[:, :T] == prompt_BT).all()


def test_the_prompt_is_left_as_it_was():
    prompt_T = np.array([1, 2], dtype=np.uint16)
    text_T = generate(counting_up, prompt_T, 2, PLAIN, block_size=BLOCK_SIZE)
    assert text_T.tolist() == [1, 2, 3, 4]
    assert prompt_T.tolist() == [1, 2] and not np.shares_memory(text_T, prompt_T)


# ---- seeds


@given(prompts_BT, lengths, seeds, st.data())
def test_a_row_does_not_depend_on_the_rows_beside_it(prompt_BT, n, seed, data):
    B, T = prompt_BT.shape
    row = data.draw(st.integers(0, B - 1))
    rows = row + 1 + data.draw(st.integers(0, 2))
    other_BT = data.draw(arrays(np.int64, (rows, T), elements=tokens))
    other_BT[row] = prompt_BT[row]
    texts = [
        generate(next_logits, batch_BT, n, PLAIN, block_size=BLOCK_SIZE, seed=seed)
        for batch_BT in (prompt_BT, other_BT)
    ]
    assert texts[0][row].tolist() == texts[1][row].tolist()


def test_equal_prompts_in_a_batch_continue_differently():
    prompt_BT = np.ones((3, 1), dtype=int)
    text_BT = generate(next_logits, prompt_BT, 20, PLAIN, block_size=BLOCK_SIZE, seed=0)
    assert len({tuple(row) for row in text_BT.tolist()}) == 3


def test_a_seed_repeats_its_text_and_no_seed_does_not():
    def text(seed):
        return generate(next_logits, [1], 40, PLAIN, block_size=BLOCK_SIZE, seed=seed).tolist()

    assert text(3) == text(3) != text(4)
    assert text(None) != text(None)


# ---- the context


@given(prompts_T, lengths)
def test_the_model_sees_the_window(prompt_T, n):
    calls = []
    text = generate(recorder(calls), prompt_T, n, PLAIN, block_size=BLOCK_SIZE).tolist()
    T = len(prompt_T)
    seen = [text[window_start(end, BLOCK_SIZE) : end] for end in range(T, T + n)]
    assert calls == [[context] for context in seen]


@given(st.integers(1, 300), st.integers(1, 40))
def test_the_window_moves_by_half_of_itself(length, block_size):
    start, step = window_start(length, block_size), max(1, block_size // 2)
    assert start % step == 0
    assert min(length, block_size - step + 1) <= length - start <= block_size
    assert window_start(length + 1, block_size) - start in (0, step)
    assert (start == 0) == (length <= block_size)


@given(st.lists(prompts_T, min_size=1, max_size=5), lengths, seeds, st.sampled_from([None, 2]))
def test_prompts_of_any_lengths_are_continued_as_each_alone(prompts, n, seed, stop):
    texts = generate(next_logits, prompts, n, PLAIN, block_size=BLOCK_SIZE, seed=seed, stop=stop)
    for b, (prompt_T, text_T) in enumerate(zip(prompts, texts, strict=True)):
        above = [prompt_T] * b  # so that it draws from the same random generator
        alone_T = generate(
            next_logits, [*above, prompt_T], n, PLAIN, block_size=BLOCK_SIZE, seed=seed, stop=stop
        )[b]
        shorter = min(len(alone_T), len(text_T))
        assert text_T[:shorter].tolist() == alone_T[:shorter].tolist()


def test_whoever_reads_the_steps_can_end_a_row():
    found = []
    for step in decoding_steps(counting_up, [np.array([1]), np.array([4])], 9, PLAIN, block_size=4):
        found.append(step.next_B.tolist())
        step.finished_B[np.isin(step.next_B, [0, 3])] = True
    assert found == [[2, 5], [3, 6], [3, 0]]


def test_stream_asks_the_model_one_token_at_a_time():
    calls = []
    tokens = stream(recorder(calls), [0, 1], 5, PLAIN, block_size=2)
    assert calls == []
    assert next(tokens) == 2 and calls == [[[0, 1]]]
    assert next(tokens) == 3 and calls == [[[0, 1]], [[1, 2]]]


# ---- stopping


@pytest.mark.parametrize("stop", [4, [4], {6, 4}, np.array([4, 6]), np.int64(4)])
def test_the_stop_token_is_yielded_and_is_the_last(stop):
    assert list(stream(counting_up, [1], 9, PLAIN, block_size=BLOCK_SIZE, stop=stop)) == [2, 3, 4]
    text_T = generate(counting_up, [1], 9, PLAIN, block_size=BLOCK_SIZE, stop=stop)
    assert text_T.tolist() == [1, 2, 3, 4]


def test_a_stop_token_in_the_prompt_stops_nothing():
    assert list(stream(counting_up, [4, 4], 2, PLAIN, block_size=BLOCK_SIZE, stop=4)) == [5, 6]


def test_a_finished_row_repeats_its_stop_token_until_the_last_row_has_finished():
    text_BT = generate(counting_up, [[1], [3], [0]], 9, PLAIN, block_size=BLOCK_SIZE, stop=[3, 4])
    assert text_BT.tolist() == [[1, 2, 3, 3], [3, 4, 4, 4], [0, 1, 2, 3]]


def test_a_row_that_never_stops_goes_on_to_the_end():
    text_BT = generate(counting_up, [[1], [3]], 2, PLAIN, block_size=BLOCK_SIZE, stop=4)
    assert text_BT.tolist() == [[1, 2, 3], [3, 4, 4]]


@given(prompts_BT, lengths, seeds, tokens)
def test_stopping_only_cuts_a_text_short(prompt_BT, n, seed, stop):
    T = prompt_BT.shape[1]
    whole_BT, cut_BT = (
        generate(next_logits, prompt_BT, n, PLAIN, block_size=BLOCK_SIZE, seed=seed, stop=s)
        for s in (None, stop)
    )
    for whole, cut in zip(whole_BT[:, T:].tolist(), cut_BT[:, T:].tolist(), strict=True):
        end = whole.index(stop) + 1 if stop in whole else n
        assert cut[:end] == whole[:end]
        assert all(token == stop for token in cut[end:])


# ---- errors


@pytest.mark.parametrize("continue_", [generate, stream])
@pytest.mark.parametrize(
    ("error", "arguments", "advice"),
    [
        (ValueError, {"prompt": []}, "no token to continue: start from one"),
        (ValueError, {"prompt": np.zeros((2, 0), dtype=int)}, "no token to continue"),
        (ValueError, {"prompt": 3}, r"shape \(\)|continues one prompt"),
        (TypeError, {"prompt": [1.0, 2.0]}, "dtype float64: give integer token ids"),
        (TypeError, {"prompt": [True]}, "dtype bool: give integer token ids"),
        (TypeError, {"prompt": ["a"]}, "give integer token ids"),
        (ValueError, {"max_new_tokens": -1}, "max_new_tokens=-1: give an integer >= 0"),
        (TypeError, {"max_new_tokens": 2.0}, r"max_new_tokens=2\.0: give an integer >= 0"),
        (ValueError, {"block_size": 0}, "block_size=0: give an integer >= 1"),
        (TypeError, {"block_size": None}, "block_size=None: give an integer >= 1"),
        (ValueError, {"seed": -1}, "seed=-1: give an integer >= 0"),
        (TypeError, {"seed": "one"}, "seed='one': give an integer >= 0"),
        (TypeError, {"stop": "\n"}, r"stop='\\n': give token ids"),
        (TypeError, {"stop": 1.5}, r"stop=1\.5: give token ids"),
    ],
)
def test_a_bad_argument_is_an_error_before_the_model_is_asked(continue_, error, arguments, advice):
    def no_model(context):
        pytest.fail("the model was asked")

    arguments = {"prompt": [1], "max_new_tokens": 3, "block_size": BLOCK_SIZE} | arguments
    prompt, max_new_tokens = arguments.pop("prompt"), arguments.pop("max_new_tokens")
    with pytest.raises(error, match=advice):
        continue_(no_model, prompt, max_new_tokens, PLAIN, **arguments)


def test_a_prompt_of_rank_three_is_an_error():
    with pytest.raises(ValueError, match=r"shape \(1, 1, 1\): give token ids \(T,\), or"):
        generate(next_logits, [[[1]]], 1, PLAIN, block_size=BLOCK_SIZE)


def test_stream_takes_one_prompt_only():
    with pytest.raises(ValueError, match=r"shape \(2, 1\): give .* to generate also"):
        stream(next_logits, [[1], [2]], 1, PLAIN, block_size=BLOCK_SIZE)


def test_a_model_that_returns_every_position_is_told_which_one_is_wanted():
    def all_positions(contexts):
        return np.zeros((len(contexts), len(contexts[0]), V))

    with pytest.raises(ValueError, match=r"\(2, 3, 7\).*return \(2, V\), .*last position only"):
        generate(all_positions, np.ones((2, 3), dtype=int), 1, PLAIN, block_size=BLOCK_SIZE)
    with pytest.raises(ValueError, match=r"\(1, 3, 7\).*return \(1, V\), .*last position"):
        next(stream(all_positions, [1, 1, 1], 1, PLAIN, block_size=BLOCK_SIZE))


def test_a_diverged_model_is_an_error():
    with pytest.raises(ValueError, match="token 0 is nan"):
        generate(lambda contexts: np.full((1, V), np.nan), [1], 1, PLAIN, block_size=BLOCK_SIZE)
