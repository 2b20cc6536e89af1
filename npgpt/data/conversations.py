"""Conversations as rows of tokens, of which answers alone count.

A conversation becomes a text by the chat template of a published model, or by three special tokens
of ours. Every answer of the assistant, with the token that ends it, is a target; all else is read
only. A row of a batch holds several conversations if they fit; none reads another (`first` of
`autograd.scaled_dot_product_attention`), and none is cut.
"""

import hashlib
import json
import math
from functools import cached_property
from itertools import chain

import numpy as np

from npgpt.batches import (
    IGNORE_INDEX,
    Batch,
    Dataset,
    GrammarLoss,
    NextToken,
    TextSource,
    sampled_rows,
)
from npgpt.data.chat_template import ChatTemplate
from npgpt.data.conversation_files import read_conversations
from npgpt.data.tokens import check_same, new_tokenizer
from npgpt.tales.questions import questions
from npgpt.tokenizers import BPETokenizer, CharTokenizer

USER, ASSISTANT, END = OWN = "<|user|>", "<|assistant|>", "<|end|>"
JINJA = (  # the form of ours, for other programs
    "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}"
    "{% elif m.role == 'assistant' %}<|assistant|>{{ m.content }}<|end|>"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MIN_SPLIT = 20  # conversations: fewer are all taught, and none is left for validation
MAX_READINGS = 200  # of the conversations, at most; answers come word for word before
TALES_CONVERSATIONS = 20_000  # conversations; those of `eval` are the last


class OwnTemplate(ChatTemplate):
    """The form of conversations in models trained here; their tokens tell it."""

    def __init__(self):
        super().__init__(JINJA, {"eos_token": END}, "npgpt")
        self.end = END

    def rendered(self, asked):
        around = {"system": ("", ""), "user": (USER, ""), "assistant": (ASSISTANT, END)}
        for messages, answers in asked:
            yield ("".join(m["content"].join(around[m["role"]]) for m in messages)
                   + ASSISTANT * answers)

    def files(self):
        return {}  # in a run, whose tokens tell it


def template_for(tokenizer, given=None):
    """Return the template `given`, or ours if the tokenizer has its tokens, else None."""
    ours = given is None or given.template == JINJA  # which needs no Jinja
    return OwnTemplate() if ours and {*OWN} <= tokenizer.special_ids.keys() else given


def with_own_tokens(tokenizer):
    """Return the tokenizer with the special tokens of ours. Raises ValueError if it takes none."""
    if isinstance(tokenizer, BPETokenizer):
        ids = {token: tokenizer.vocab_size + i for i, token in enumerate(OWN)}
        return BPETokenizer(tokenizer.merges, tokenizer.special_ids | ids,
                            pattern=tokenizer.pattern, ids=tokenizer.ids)
    if isinstance(tokenizer, CharTokenizer) and not tokenizer.added:
        special = [*tokenizer.special_ids, *OWN]
        return type(tokenizer)(**tokenizer.arguments() | {"special_tokens": special})
    raise ValueError("the model has no chat template, and its tokenizer takes no tokens for one: "
                     "give --init-from a model with byte pairs, or one trained here on one text")


# ---- As tokens


class Conversation:
    """A conversation as token ids.    counted_N: True for the tokens of answers

    question   the `npgpt.tales.questions.Question` that it asks, or None
    """

    def __init__(self, ids_N, counted_N, question=None):
        self.ids_N, self.counted_N, self.question = ids_N, counted_N, question
        self.n_targets = int(counted_N.sum())

    def __len__(self):
        return len(self.ids_N) - 1  # inputs, and their targets

    @property
    def prompt_T(self):
        return self.ids_N[: int(np.argmax(self.counted_N))]


def encoded(conversations, tokenizer, template, block_size=math.inf):
    """Yield a `Conversation` for each (where, messages, question or None).

    A prompt and its answer are encoded apart, as `npgpt chat` reads the one and writes the other.
    Raises ValueError, which says where, for one of more tokens than the model reads, before more of
    it is rendered: all prompts of a conversation together are as long as its square.
    """
    texts = template.rendered(
        (messages[:end], end == i) for _, messages, _ in conversations
        for i, message in enumerate(messages) if message["role"] == "assistant"
        for end in (i, i + 1))
    for where, messages, question in conversations:
        ids, counted = [], []
        try:
            for message in messages:
                check_no_special(message["content"], tokenizer)
            for text, is_answer in _turns(messages, texts, template):
                ids += tokenizer.encode(text, allowed_special="all").tolist()
                counted += [is_answer] * (len(ids) - len(counted))
                if len(ids) > block_size + 1:
                    raise ValueError(f"it takes more tokens than the {block_size:,} that the model "
                                     "reads: leave it out, or give a new model a larger "
                                     "--block-size or --tokenizer words")
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        yield Conversation(np.array(ids), np.array(counted), question)


def _turns(messages, texts, template):
    """Yield (text, whether it is an answer) in turn, by the texts of all prompts and answers."""
    done = ""
    for _ in range(len(messages) // 2):
        prompt, whole = next(texts), next(texts)
        if not (prompt.startswith(done) and whole.startswith(prompt)):
            raise ValueError("the chat template writes earlier messages differently when later "
                             "ones follow; give a line for each answer")
        answer, end, rest = whole[len(prompt) :].partition(template.end or "\0")
        if not end:  # `chat` stops at it all the same, so it is taught
            answer, rest = answer.rstrip(), answer[len(answer.rstrip()) :]
        yield prompt[len(done) :], False
        yield answer + template.end, True
        done = whole[: len(whole) - len(rest)]


def check_no_special(text, tokenizer):
    """Raise ValueError if a special token stands in a text, which would be read as that token."""
    for token in tokenizer.special_ids:
        if token in text:
            raise ValueError(f"{token!r} is a special token of the model; leave it out")


def packed(lengths, width):
    """Return rows of indices whose lengths add up to `width` at most.

    The longest come first, each into the fullest row that has room for it.
    """
    rows, with_room = [], [[] for _ in range(width + 1)]  # by the room that is left
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        room = next((n for n in range(lengths[i], width + 1) if with_room[n]), None)
        if room is None:
            rows.append(row := [])
            room = width
        else:
            row = with_room[room].pop()
        row.append(i)
        with_room[room - lengths[i]].append(row)
    return rows


class Conversations:
    """Conversations, each a `Conversation`, for rows of `width` tokens; its length is in tokens."""

    def __init__(self, talks, width):
        self.talks, self.width = list(talks), width
        self.n_targets = sum(talk.n_targets for talk in self.talks)

    def __len__(self):
        return sum(map(len, self.talks))

    @cached_property
    def rows(self):
        """Lists of the talks that share a row."""
        return [[self.talks[i] for i in row] for row in packed([*map(len, self.talks)], self.width)]


def batch_of(rows, width):
    """Return the `Batch` of rows, lists of talks."""
    x_BT = np.zeros((len(rows), width), np.int64)
    y_BT, starts_BT = np.full_like(x_BT, IGNORE_INDEX), x_BT + np.arange(width)
    for b, row in enumerate(rows):
        begin = 0
        for talk in row:
            own = slice(begin, begin + len(talk))
            x_BT[b, own], starts_BT[b, own] = talk.ids_N[:-1], begin
            y_BT[b, own] = np.where(talk.counted_N[1:], talk.ids_N[1:], IGNORE_INDEX)
            begin = own.stop
    return Batch((x_BT,), y_BT, {"starts_BT": starts_BT})


class Answers(NextToken):
    """The objective of `Conversations`, in place of ids: predict the tokens of answers."""

    every_token, target = False, "token of an answer"

    def sample(self, ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
        """Return the `Batch` of a step, or some rows of it; an epoch has each row once."""
        epochs, places = np.divmod(step * batch_size + np.arange(batch_size), len(ids_N.rows))
        order = {e: np.random.default_rng((seed, e)).permutation(len(ids_N.rows))
                 for e in range(epochs[0], epochs[-1] + 1)}
        drawn = [ids_N.rows[order[e][i]] for e, i in zip(epochs, places, strict=True)]
        step_targets = sum(talk.n_targets for row in drawn for talk in row)
        return batch_of(drawn[rows], ids_N.width)._replace(step_targets=step_targets)

    def example(self, ids_N, block_size, seed):
        """Return a question as token ids."""
        return ids_N.talks[np.random.default_rng(seed).integers(len(ids_N.talks))].prompt_T

    def evaluation(self, ids_N, block_size, batch_size, stride=None, *, max_tokens=None, seed=0):
        """Yield the batches of an evaluation on all conversations, or on some drawn by `seed`."""
        self.check_stride(stride, block_size)
        rows = _some(ids_N, max_tokens, seed).rows
        for first in range(0, len(rows), batch_size):
            yield batch_of(rows[first : first + batch_size], ids_N.width)

    def grammar_loss(self, ids_N, block_size, *, max_tokens=None, seed=0, **_):
        """Return the `GrammarLoss` on the draws of `evaluation`; None if answers are unknown."""
        talks = _some(ids_N, max_tokens, seed)
        if not all(talk.question for talk in talks.talks):
            return None
        nats = sum(talk.question.nats for talk in talks.talks)
        return GrammarLoss(nats / talks.n_targets, talks.n_targets)


def _some(talks, max_tokens, seed):
    """Return those with about so many tokens, drawn by `seed`; all if max_tokens is None."""
    rows = sampled_rows([*map(len, talks.talks)], max_tokens, seed)
    return Conversations([talks.talks[i] for i in rows], talks.width)


# ---- A run's conversations


def open_conversations(
    training, names, block_size, tokenizer=None, template=None, *, expected=None, kind="char",
    bpe_size=None, grow=False, whole=False,
):
    """Return the `Dataset` of conversations in files, or of "tales".

    tokenizer, template   of the model; None: they are made, with special tokens of ours
    grow                  whether the tokenizer may get new tokens
    expected, kind, bpe_size, whole   as for `npgpt.data.tokens.open_dataset`

    Raises ValueError, which names the line, for what is no conversation, is longer than block_size
    or has characters that the tokenizer lacks; ValueError if they are not those of a run.
    """
    found = [line for name in names for line in _read(name)]
    if not found:
        raise ValueError(f"{names} have 0 conversations; give one a line")
    contents = [message["content"] for _, messages, _ in found for message in messages]
    digest = hashlib.sha256(json.dumps([m for _, m, _ in found]).encode()).hexdigest()
    source = TextSource(f"conversations of {', '.join(names)}", None, digest, None)
    check_same(source, expected)
    tokenizer, template = _form(tokenizer, template, contents, kind, bpe_size, grow)
    talks = list(encoded(found, tokenizer, template, block_size))
    train = val = Conversations(talks, width := max(map(len, talks)))
    if len(talks) >= MIN_SPLIT:
        cut = 0 if whole else max(1, int(len(talks) * training.train_fraction))
        train, val = Conversations(talks[:cut], width), Conversations(talks[cut:], width)
    return Dataset(source, tokenizer, train, val, Answers(tokenizer), _answering(template),
                   template=template)


def as_few_need(training, talks, given):
    """Return batch_size and max_iters, where they are not given, for some `Conversations`.

    No row is twice in a batch, none is read more often than MAX_READINGS.
    """
    size = given.get("batch_size", min(training.batch_size, len(talks.rows)))
    steps = min(training.max_iters, -(-MAX_READINGS * len(talks.rows) // size))
    return {"batch_size": size, "max_iters": given.get("max_iters", steps)}


def _read(name):
    if name != "tales":
        yield from read_conversations(name)
        return
    for number, asked in enumerate(questions(TALES_CONVERSATIONS), 1):
        messages = [{"role": "user", "content": asked.prompt},
                    {"role": "assistant", "content": asked.answer}]
        yield f"conversation {number} of the tales", messages, asked


def _form(tokenizer, template, contents, kind, bpe_size, grow):
    """Return (tokenizer, template) for these messages."""
    characters = "".join(sorted(set().union(*contents)))
    if tokenizer is None:
        text = (content + "\n" for content in contents)
        tokenizer = new_tokenizer(kind, text, characters, bpe_size, OWN)
    elif template_for(tokenizer, template) is None:
        if not grow:
            raise ValueError("the model was taught no conversations: it has no chat template")
        tokenizer = with_own_tokens(tokenizer)
    if grow and isinstance(tokenizer, CharTokenizer):
        tokenizer = tokenizer.with_characters(characters)
    return tokenizer, template_for(tokenizer, template)


def end_of(tokenizer, template):
    """Return the id of the token that ends an answer, in a list; [] if there is none."""
    return tokenizer.encode(template.end, allowed_special="all")[-1:].tolist()


def _answering(template):
    """Return a writer, as of `npgpt.models.writing`, that shows the question and ends."""

    def write(model, tokenizer, idx_T, max_new_tokens, **settings):
        stop = end_of(tokenizer, template)
        return chain(np.asarray(idx_T).tolist(),
                     model.stream(idx_T, max_new_tokens, stop=stop, **settings))

    return write
