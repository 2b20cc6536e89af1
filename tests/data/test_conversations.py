"""Conversations as tokens: what counts, what is packed, what is refused."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt import GPT, GPTConfig, Llama, LlamaConfig
from npgpt.config import TrainConfig
from npgpt.data.chat_template import ChatTemplate
from npgpt.data.conversation_files import LONGEST_LINE
from npgpt.data.conversations import (
    JINJA,
    MAX_READINGS,
    OWN,
    Answers,
    Conversation,
    Conversations,
    OwnTemplate,
    as_few_need,
    batch_of,
    encoded,
    open_conversations,
    packed,
)
from npgpt.tokenizers import BPETokenizer, CharTokenizer

TALKING = [
    {"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "you"}, {"role": "user", "content": "bye"},
    {"role": "assistant", "content": "be"},
]
TOKENIZER = CharTokenizer(" abdehiknouy", OWN)


def lines(*conversations):
    return "".join(json.dumps({"messages": m}) + "\n" for m in conversations)


def turns(*texts):
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


def some_talks(lengths, seed=0, vocab_size=7):
    rng, talks = np.random.default_rng(seed), []
    for n in lengths:
        counted = rng.random(n + 1) < 0.5
        counted[-1] = True
        ids_N = rng.integers(0, vocab_size, n + 1)
        talks.append(Conversation(ids_N, counted & (np.arange(n + 1) > 0)))
    return talks


# ---- what counts


@pytest.mark.parametrize("is_ours", [True, False])
def test_the_answers_and_their_ends_count(is_ours):
    if not is_ours:
        pytest.importorskip("jinja2")
    form = OwnTemplate() if is_ours else ChatTemplate(JINJA, {}, "here")
    (talk,) = encoded([("line 1", TALKING, None)], TOKENIZER, form)
    text = "be kind<|user|>hi<|assistant|>you<|end|><|user|>bye<|assistant|>be<|end|>"
    assert TOKENIZER.decode(talk.ids_N) == text
    assert answers_of(talk, TOKENIZER) == ["you<|end|>", "be<|end|>"]
    assert TOKENIZER.decode(talk.prompt_T) == form.prompt(TALKING[:2])
    assert form.end == OWN[2] and talk.n_targets == 7


def answers_of(talk, tokenizer):
    """Return the runs of tokens that count, as texts."""
    ends = np.flatnonzero(np.diff(talk.counted_N, append=False, prepend=False))
    return [tokenizer.decode(talk.ids_N[a:b]) for a, b in ends.reshape(-1, 2)]


def test_a_template_that_changes_what_was_said_is_refused_by_the_line():
    pytest.importorskip("jinja2")
    last = ChatTemplate("{{ messages[-1].content }}", {}, "here")
    strict = ChatTemplate(JINJA + "{% if messages[0].role == 'system' %}"
                          "{{ raise_exception('no system') }}{% endif %}", {}, "here")
    for form, match in ((last, "line 1: .*template"), (strict, "line 1: .*no system")):
        with pytest.raises(ValueError, match=match):
            list(encoded([("line 1", TALKING, None)], TOKENIZER, form))


# ---- packing


@given(st.lists(st.integers(1, 12), max_size=30), st.integers(12, 30))
def test_rows_hold_each_conversation_once_and_whole(lengths, width):
    rows = packed(lengths, width)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    sums = [sum(lengths[i] for i in row) for row in rows]
    assert all(n <= width for n in sums)
    assert sum(n * 2 <= width for n in sums) <= 1  # two such rows would be one


@pytest.mark.parametrize("model", [
    GPT(GPTConfig(7, 24, n_layer=2, n_head=2, n_embd=8), 1, np.float64),
    Llama(LlamaConfig(7, 24, n_layer=2, n_head=2, n_embd=8, n_kv_head=1), 1, np.float64),
], ids=["gpt", "llama"])
def test_a_batch_of_packed_rows_is_its_conversations_alone(model):
    for weight in model.parameters().values():
        weight.data += 0.3 * np.random.default_rng(2).standard_normal(weight.shape)
    talks = some_talks([9, 5, 6, 3, 12, 4])
    together = batch_of(Conversations(talks, 16).rows, 16)
    assert len(together.targets_BT) < len(talks)
    assert together.n_targets == sum(talk.n_targets for talk in talks)

    def with_gradient(loss):
        for weight in model.parameters().values():
            weight.grad = None
        loss.backward()
        return np.hstack([loss.data, *(w.grad.ravel() for w in model.parameters().values())])

    alone = 0.0
    for talk in talks:
        x_BT, y_BT = talk.ids_N[None, :-1], np.where(talk.counted_N, talk.ids_N, -1)[None, 1:]
        alone += talk.n_targets / together.n_targets * with_gradient(model(x_BT, y_BT)[1])
    found = with_gradient(together.loss(model))
    np.testing.assert_allclose(found, alone, rtol=1e-11, atol=1e-12)


def test_the_gradient_of_answers_is_that_of_pytorch():
    torch = pytest.importorskip("torch", reason="the peer: pip install '.[peers]'")
    model = GPT(GPTConfig(7, 24, 1, 2, 8, tie_weights=False), 1, np.float64)
    talks = some_talks([9, 5])
    batch = batch_of([talks], 14)
    batch.loss(model).backward()
    theirs = torch.tensor(model.lm_head.weight.data, requires_grad=True)
    x_BTC = torch.tensor(model.hidden(*batch.inputs, **batch.masks).data)
    answers_T = np.hstack([np.where(t.counted_N, t.ids_N, -1)[1:] for t in talks])
    torch.nn.functional.cross_entropy(
        (x_BTC @ theirs)[0], torch.tensor(answers_T), ignore_index=-1).backward()
    np.testing.assert_allclose(model.lm_head.weight.grad, theirs.grad, rtol=1e-10, atol=1e-14)


# ---- batches


def test_an_epoch_reads_each_row_once():
    talks, objective = Conversations(some_talks([9] * 20), 10), Answers(None)
    batches = [objective.sample(talks, 40, 4, seed=3, step=step) for step in range(5)]
    drawn = [row.tobytes() for batch in batches for row in batch.inputs[0]]
    assert len(talks.rows) == 20 and sorted(drawn) == sorted(
        row.tobytes() for row in batch_of(talks.rows, talks.width).inputs[0])


# ---- what is refused

OK = '{"role": "assistant", "content": "ok"}'
BAD = [
    "hello", "1", '{"messages": []}', '{"messages": ["hi"]}',
    '{"messages": [{"role": "user", "content": ["hi"]}, OK]}',
    '{"messages": [{"role": "tool", "content": "hi"}, OK]}',
    lines(turns("hi", "ok", "hi")), lines(turns("hi <|end|>", "ok")),
    lines(turns("hi" * 50, "ok")), lines(turns("hiß", "ok")), "[" * 100_000,
    '{"messages": "' + "a" * LONGEST_LINE,
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad[:60])
def test_what_is_no_conversation_is_refused_by_its_line(tmp_path, bad):
    path, good = tmp_path / "talks.jsonl", lines(turns("hi", "ok"))
    path.write_text(f"\n{good}{bad.strip().replace('OK', OK)}\n{good}", encoding="utf-8")
    tokenizer = CharTokenizer(" hiko", OWN)
    with pytest.raises(ValueError, match=r"line 3\b") as refusal:
        open_conversations(TrainConfig(), [str(path)], 60, tokenizer)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 600


def test_a_conversation_of_many_turns_is_refused_before_all_its_prompts_are_made(tmp_path):
    path = tmp_path / "talks.jsonl"
    path.write_text(lines(turns(*"ab" * 1000), turns("hi", "ok")), encoding="utf-8")
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="line 1.* 256 "):
            open_conversations(TrainConfig(), [str(path)], 256)
        assert tracemalloc.get_traced_memory()[1] < 8e6  # all of them have 30 MB
    finally:
        tracemalloc.stop()


def test_fewer_than_twenty_are_all_taught_in_a_batch_no_larger_than_they_are(tmp_path):
    path = tmp_path / "talks.jsonl"
    for count, fraction, taught in ((19, 0.9, 19), (20, 0.5, 10)):
        path.write_text(lines(TALKING) * count, encoding="utf-8")
        config = TrainConfig(train_fraction=fraction, batch_size=12)
        data = open_conversations(config, [str(path)], 60)
        assert len(data.train_ids.talks) == taught
        assert len(data.val_ids.talks) == (count - taught or count)
        needed = as_few_need(config, data.train_ids, {})
        assert needed["batch_size"] == min(12, taught)
        read = needed["batch_size"] * needed["max_iters"] / taught
        assert MAX_READINGS <= read < MAX_READINGS + 1


def test_files_that_hold_too_little_are_refused(tmp_path):
    path = tmp_path / "talks.jsonl"
    path.write_text("\n\n", encoding="utf-8")
    with pytest.raises(ValueError, match="0 conversations"):
        open_conversations(TrainConfig(), [str(path)], 60)
    path.write_bytes(b"\xef\xbb\xbf" + lines(TALKING).encode())
    with pytest.raises(ValueError, match="chat template"):
        open_conversations(TrainConfig(), [str(path)], 60, CharTokenizer("hi"))


# ---- a leak


NO_END = ("{% for m in messages %}### {{ m.role }}: {{ m.content }}\n\n{% endfor %}"
          "{{ '### assistant:' if add_generation_prompt }}")


def test_where_a_template_writes_no_end_the_eos_token_is_taught():
    pytest.importorskip("jinja2")
    tokenizer = BPETokenizer([], ("</s>",))
    form = ChatTemplate(NO_END, {"eos_token": "</s>"}, "here")
    (talk,) = encoded([("line 1", TALKING, None)], tokenizer, form)
    assert answers_of(talk, tokenizer) == [" you</s>", " be</s>"]
    assert tokenizer.decode(talk.prompt_T) == form.prompt(TALKING[:2])
    assert "</s>\n\n### user: bye" in tokenizer.decode(talk.ids_N)
