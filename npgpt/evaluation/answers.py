"""How many questions a model answers right, and how varied the stories are that it is asked for.

Questions are answered greedily. Stories are drawn with the model's own probabilities, since many
are right: of a model that has learned the grammar they have the grammar's entropy.
"""

from typing import NamedTuple

import numpy as np

from npgpt.data.conversations import Answers, Conversation, Conversations, end_of
from npgpt.support.progress import progress
from npgpt.tales.questions import KINDS
from npgpt.train import evaluate

MAX_ASKED = 400  # most questions, and most stories


class Answered(NamedTuple):
    """Answers of a model, judged."""

    right: dict[str, list[int]]  # by kind: right, asked
    entropy: float | None = None  # of its right stories, in nats per story
    grammars: float | None = None  # that of the grammar for the same requests

    def lines(self):
        """Return lines: shares with intervals; entropy."""
        lines = shares(self.right)
        if self.entropy is not None:
            lines.append(f"right stories have an entropy of {self.entropy:.1f} nats, those of the "
                         f"grammar {self.grammars:.1f}")
        return lines


@progress("answering questions")
def answered(model, data, talks, most=MAX_ASKED):
    """Return the `Answered` of some `Conversations`; empty where right answers are unknown.

    most   questions, and stories asked for: the first ones
    """
    if not data.template:
        return Answered({})
    end, found, right_stories, nats = end_of(data.tokenizer, data.template), {}, [], []
    for talk, ids in _written(model, talks, most, end):
        question, said = talk.question, ids[: ids.index(end[0])] if {*end} & {*ids} else ids
        right = question.right(data.tokenizer.decode(said))
        count = found.setdefault(question.kind, [0, 0])
        count[:] = count[0] + right, count[1] + 1
        if question.kind == "story":
            nats.append(question.grammar.expectation()[0])
            if right:
                whole = np.array([*talk.prompt_T, *said, *end])
                counted = np.arange(len(whole)) >= len(talk.prompt_T)
                right_stories.append(Conversation(whole, counted))
    entropy = None
    if right_stories:
        some = Conversations(right_stories, max(map(len, right_stories)))
        loss, targets = evaluate(model, some, objective=Answers(data.tokenizer))
        # -ln P of a story in the mean; right ones alone share the whole probability
        entropy = loss * targets / len(right_stories) + np.log(len(right_stories) / len(nats))
    found = {kind: found[kind] for kind in KINDS if kind in found}
    return Answered(found, entropy, np.mean(nats) if nats else None)


def given(model, talk):
    """Return (where it begins, whether the model writes it) for each answer in a `Conversation`.

    It does so greedily, word for word and to the end, after all that stands before it.
    """
    at = np.flatnonzero(talk.counted_N[1:])
    with model.evaluating():
        logits_NV = model.head(model.hidden(talk.ids_N[None, :-1])[0, at]).data
    right = logits_NV.argmax(axis=1) == talk.ids_N[at + 1]
    first = np.flatnonzero(np.diff(at, prepend=-2) > 1)
    return [*zip(at[first] + 1, np.logical_and.reduceat(right, first), strict=True)]


def _written(model, talks, most, end):
    """Yield (talk, what the model writes as token ids)."""
    judged = [talk for talk in talks.talks if talk.question]
    for temperature in (0, 1):
        some = [talk for talk in judged if (talk.question.kind == "story") == temperature][:most]
        some.sort(key=len)  # those of a batch take about as many tokens
        for first in range(0, len(some), 50):
            batch = some[first : first + 50]
            longest = max(talk.n_targets for talk in batch) + (30 if temperature else 8)
            rows = model.generate([talk.prompt_T for talk in batch], longest, stop=end, seed=first,
                                  temperature=temperature)
            for talk, row in zip(batch, rows, strict=True):
                yield talk, row[len(talk.prompt_T) :].tolist()


def shares(found):
    """Return lines: the share of right answers, of all and by kind, with Wilson's 95 % interval."""
    lines, zz = [], 1.96**2
    total = {"answers right": np.sum([*found.values()], axis=0)} if found else {}
    for kind, (right, asked) in (total | found).items():
        share = right / asked
        half = (zz * share * (1 - share) / asked + (zz / 2 / asked) ** 2) ** 0.5
        low, high = ((share + zz / 2 / asked + d) / (1 + zz / asked) for d in (-half, half))
        lines.append(f"{kind:<14}{right:5} of {asked:<4}{share:7.1%}, 95 % interval {low:.1%} to "
                     f"{high:.1%}")
    return lines
