"""What a model must not forget while it is taught to answer: what it says and writes already.

    loss of a step = loss on the taught answers + hold * KL(start || model)

The KL is the mean over tokens of what the start itself wrote before (distillation: Hinton et al.,
2015; for what must not be forgotten: Li and Hoiem, 2016): of a published model with a chat template
its answers to QUESTIONS, of others texts that it draws. Unlike a loss on such texts it has no
gradient while the model is still the start. A model that only writes learns to answer before it is
held. UNTAUGHT and PROSE are only measured.
"""

import re
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from autograd import log_softmax
from npgpt.batches import Batch
from npgpt.data.conversations import Answers, Conversation, OwnTemplate, batch_of, end_of
from npgpt.generate import CachedLogits, generate
from npgpt.gpt import without_initial_weights
from npgpt.sampling import Sampling
from npgpt.support.progress import progress
from npgpt.support.text import starting_prompt

ANSWER_TOKENS = 40  # tokens of an answer
REFERENCE_TEXTS, MEASURED_TEXTS = 2048, 64  # texts that are held, and others
TEXT_TOKENS, TEXTS_AT_ONCE = 128, 256  # tokens of a text, and texts that are drawn together
KL_FREE_FRACTION = 0.5  # of the steps of a model that only writes: it is not held yet
QUESTIONS = """\
Hello! What is the capital of Italy? Why is the sky blue? Give me three tips for sleeping well.
Write a short poem about the sea. What is photosynthesis? How do I boil an egg? Who wrote Hamlet?
Explain gravity to a child. What is the largest planet? Write a function that adds two numbers.
Translate "good morning" into French. What can you do? Tell me a story. What is 7 times 8?
Who was Napoleon? How are you? What do cows eat? Why do we dream? Name five animals.
What is the tallest mountain in the world? How does a bicycle work? Explain how rain forms. Write a
sentence about winter. Name three colours. Who painted the Mona Lisa? What is a good name for a dog?
Describe a sunset. What is the speed of light? How do I bake bread? What is democracy? Write a story
about a lost key. How do I learn to play the guitar? What causes earthquakes? Give me a synonym for
happy. What is a computer? How many days are in a year? What is the opposite of hot? Tell me about
dinosaurs. Who discovered America? What is the meaning of life? How do I save money? Write a slogan
for a bicycle shop. What is the internet? Explain what a metaphor is. What should I read next? How
do fish breathe? What is music? Describe your perfect day. What is friendship? Write an invitation
to a birthday party. How do I fix a leaking tap? What is a black hole? Why is exercise good? What is
the largest ocean? Count from one to ten. What is the square root of 81? Where is Egypt? What is
chess? Recommend a film."""
UNTAUGHT = """\
Good morning! What is the capital of France? How does a plane fly? What is a prime number?
Write a haiku about rain. Name three fruits. Why do leaves fall in autumn? How can I learn to swim?
Write a function that reverses a string. Who was Isaac Newton? What is the boiling point of water?
What should I cook tonight?"""
PROSE = """\
The old mill stood at the end of the valley, where the river turned to the south. Every morning the
miller opened the gate and let the water run over the wheel. In the spring, when the snow melted in
the hills, the water rose so high that he had to keep the gate closed for days. Then he sat by the
window and repaired his sacks, and the children of the village came to hear about the floods of his
youth. When the railway came, flour was cheaper in the town, and the wheel stood still for a year.
"""


def keep_reference(model, optimizer):
    """Let the optimizer's checkpoints hold the model as it is now."""
    weights = {name: weight.data.copy() for name, weight in model.parameters().items()}
    optimizer.add_state("reference", weights)


def reference_of(model, optimizer):
    """Return the model that `keep_reference` kept."""
    with without_initial_weights():
        start = type(model)(model.config, seed=0)
    for name, weight in start.parameters().items():
        weight.data = optimizer.extra_state["reference"][name]
    return start


def questions_in(text):
    """Return the sentences of a text, each a question or a request."""
    return re.findall(r"\S[^?!.]*[?!.]", " ".join(text.split()))


@progress("answering other questions")
def own_answers(model, tokenizer, template, text):
    """Return a `Conversation` for each question in a text: what the model answers now, greedily."""
    asked = [([{"role": "user", "content": each}], True) for each in questions_in(text)]
    texts = template.rendered(asked)
    prompts = [tokenizer.encode(each, allowed_special="all") for each in texts]
    end, talks = end_of(tokenizer, template), []
    longest = min(model.config.block_size, max(map(len, prompts)) + ANSWER_TOKENS)
    decoder = CachedLogits(model.next_logits, longest)  # a cache for whole windows takes gigabytes
    rows = generate(decoder, prompts, ANSWER_TOKENS, Sampling(0.0), block_size=longest, stop=end)
    for prompt, row in zip(prompts, rows, strict=True):
        ends = np.flatnonzero(np.isin(row[len(prompt) :], end))  # rows are filled up with it
        row = row[: len(prompt) + ends[0] + 1] if len(ends) else row
        talks.append(Conversation(row, np.arange(len(row)) >= len(prompt)))
    return talks


@progress("writing texts")
def own_texts(model, tokenizer, count, seed=0):
    """Return a `Conversation` for each of so many texts that the model draws now; all tokens count.

    They begin anywhere in what it writes, as windows of a text do.
    """
    prompt, draws = tokenizer.encode(starting_prompt(tokenizer)), np.random.default_rng(seed)
    longest = min(TEXT_TOKENS, model.config.block_size) + 1
    talks = []
    for first in range(0, count, TEXTS_AT_ONCE):
        prompts = [prompt] * min(TEXTS_AT_ONCE, count - first)
        for row in model.generate(prompts, longest - len(prompt), seed=seed + first):
            b = draws.integers(longest // 2)
            talks.append(Conversation(row[b:], np.arange(b, longest) > b))
    return talks


def divergence(start, model, batch):
    """Return the mean KL(start || model) in nats per token of a `Batch`, a Tensor."""
    at = np.nonzero(batch.targets_BT >= 0)

    def log_probs(of):
        return log_softmax(of.head(of.hidden(*batch.inputs, **batch.masks)[at]))

    with start.evaluating():
        start_NV = log_probs(start).data
    return (np.exp(start_NV) * (start_NV - log_probs(model))).sum(axis=-1).mean()


class PenalizedBatch(NamedTuple):
    """A `Batch` of taught answers, and one of those to hold."""

    taught: Batch
    held: Batch
    start: Any
    weight: float

    @property
    def n_targets(self):
        return self.taught.n_targets

    @property
    def step_targets(self):
        return self.taught.step_targets

    def loss(self, model):
        """Return the loss, a Tensor."""
        return self.taught.loss(model) + self.weight * divergence(self.start, model, self.held)


class AnswersNearReference(Answers):
    """The objective `Answers` that holds what a model says to other questions, or writes.

    steps   of the training: a model that only writes is held in a part of them; 0 for all
    """

    def __init__(self, dataset, start, training):
        super().__init__(dataset.tokenizer)
        self.template, self.start, self.weight = dataset.template, start, training.hold
        self.steps, self.writes = training.max_iters, isinstance(self.template, OwnTemplate)
        if self.writes:
            drawn = 1 + training.max_iters * training.batch_size // 4
            self.held = own_texts(start, self.tokenizer, min(REFERENCE_TEXTS, drawn))
        else:
            self.held = own_answers(start, self.tokenizer, self.template, QUESTIONS)

    def sample(self, ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
        """Return the `PenalizedBatch` of a step, or the `Batch` of one that is free; or some rows.

        One talk is held beside every fourth row of the step, or every second, whatever the rows of
        a micro-batch; its weight makes the step's KL the mean over all that is held in it.
        """
        taught = super().sample(ids_N, block_size, batch_size, seed=seed, step=step, rows=rows)
        beside = range(0, batch_size, 4 if self.writes else 2)
        drawn = np.random.default_rng((seed, step, 2)).integers(len(self.held), size=batch_size)
        own = [self.held[drawn[i]] for i in beside if i in range(batch_size)[rows]]
        if not own or (self.writes and step < KL_FREE_FRACTION * self.steps):
            return taught
        share = (sum(talk.n_targets for talk in own)
                 / sum(self.held[drawn[i]].n_targets for i in beside))
        weight = self.weight * share * (taught.step_targets / taught.n_targets)
        return PenalizedBatch(taught, _each(own), self.start, weight)


def held(dataset, model, optimizer, training):
    """Return the `Dataset` of conversations with the objective `AnswersNearReference`.

    `keep_reference` comes first. Raises ValueError if the tokenizer cannot encode the questions.
    """
    objective = AnswersNearReference(dataset, reference_of(model, optimizer), training)
    return replace(dataset, objective=objective)


def _each(talks):
    return batch_of([[talk] for talk in talks], max(map(len, talks)))


def forgotten(model, objective):
    """Return a line or two: what a model taught near a reference no longer says as it did."""
    start, tokenizer = objective.start, objective.tokenizer
    if objective.writes:
        texts = own_texts(start, tokenizer, MEASURED_TEXTS, seed=1)
        what, batches = "texts of its own", [_each(texts)]
    else:
        talks = own_answers(start, tokenizer, objective.template, UNTAUGHT)
        ids = np.array([tokenizer.encode(PROSE)[: model.config.block_size + 1]])
        what = "answers that were not taught"
        batches = [_each(talks), Batch((ids[:, :-1],), ids[:, 1:], {})]
    with model.evaluating(), start.evaluating():
        kl = divergence(start, model, batches[0]).item()
        more = [batch.loss(model).item() - batch.loss(start).item() for batch in batches]
    line = (f"{what}: KL from the start {kl:.3f} nats per token (0: unchanged), "
            f"loss changed by {more[0]:+.3f}")
    plain = (f";\nplain text: loss changed by {d:+.4f} nats per token" for d in more[1:])
    return line + "".join(plain)
