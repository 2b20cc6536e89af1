"""What a published model must not forget while it is taught: its answers to other questions.

    loss of a step = loss on the taught answers + hold * KL(start || model)

The KL is the mean over tokens of the start's own answers to QUESTIONS, of which each row of a batch
has one beside it (distillation: Hinton et al., 2015; for what must not be forgotten: Li and Hoiem,
2016). It says more of a token than the token itself would. UNTAUGHT and PROSE are only measured.
"""

import re
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from autograd import log_softmax
from npgpt.batches import Batch
from npgpt.families.conversations import Answers, Talk, batch_of, end_of
from npgpt.families.models import without_initial_weights

LONGEST = 40  # tokens of an answer
QUESTIONS = """\
Hello! What is the capital of Italy? Why is the sky blue? Give me three tips for sleeping well.
Write a short poem about the sea. What is photosynthesis? How do I boil an egg? Who wrote Hamlet?
Explain gravity to a child. What is the largest planet? Write a function that adds two numbers.
Translate "good morning" into French. What can you do? Tell me a story. What is 7 times 8?
Who was Napoleon? How are you? What do cows eat? Why do we dream? Name five animals."""
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


def keep_start(model, optimizer):
    """Let the optimizer's checkpoints hold the model as it is now."""
    weights = {name: weight.data.copy() for name, weight in model.parameters().items()}
    optimizer.add_state("reference", weights)


def start_of(model, optimizer):
    """Return the model that `keep_start` kept."""
    with without_initial_weights():
        start = type(model)(model.config, seed=0)
    for name, weight in start.parameters().items():
        weight.data = optimizer.extra_state["reference"][name]
    return start


def own_answers(model, tokenizer, template, text):
    """Return a `Talk` for each question in a text: what the model answers now, greedily."""
    asked = re.findall(r"\S[^?!.]*[?!.]", " ".join(text.split()))
    texts = template.rendered([([{"role": "user", "content": each}], True) for each in asked])
    prompts = [tokenizer.encode(each, allowed_special="all") for each in texts]
    rows = model.generate(prompts, LONGEST, temperature=0, stop=end_of(tokenizer, template))
    return [Talk(row, np.arange(len(row)) >= len(prompt))
            for prompt, row in zip(prompts, rows, strict=True)]


def divergence(start, model, batch):
    """Return the mean KL(start || model) in nats per token of a `Batch`, a Tensor."""
    at = np.nonzero(batch.targets_BT >= 0)

    def log_probs(of):
        return log_softmax(of.head(of.hidden(*batch.inputs, **batch.masks)[at]))

    with start.evaluating():
        start_NV = log_probs(start).data
    return (np.exp(start_NV) * (start_NV - log_probs(model))).sum(axis=-1).mean()


class HeldBatch(NamedTuple):
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


class Held(Answers):
    """The objective `Answers` that holds what a model says to other questions."""

    def __init__(self, dataset, start, weight):
        super().__init__(dataset.tokenizer, dataset.objective.target_share)
        self.template, self.start, self.weight = dataset.template, start, weight
        self.held = own_answers(start, self.tokenizer, self.template, QUESTIONS)

    def sample(self, ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
        """Return the `HeldBatch` of a step, or some rows of it."""
        taught = super().sample(ids_N, block_size, batch_size, seed=seed, step=step, rows=rows)
        drawn = np.random.default_rng((seed, step, 2)).integers(len(self.held), size=batch_size)
        own = _each([self.held[i] for i in drawn[rows]])
        return HeldBatch(taught, own, self.start, self.weight)


def held(dataset, model, optimizer, weight):
    """Return the `Dataset` of conversations with the objective `Held`, after `keep_start`.

    Raises ValueError if the tokenizer cannot encode the questions.
    """
    try:
        objective = Held(dataset, start_of(model, optimizer), weight)
    except ValueError as error:
        raise ValueError(f"its answers cannot be held: {error}; give --hold 0") from error
    return replace(dataset, objective=objective)


def _each(talks):
    return batch_of([[talk] for talk in talks], max(map(len, talks)))


def forgotten(model, objective):
    """Return a line: what a model that was taught by `Held` no longer says as it did."""
    start, tokenizer = objective.start, objective.tokenizer
    asked = _each(own_answers(start, tokenizer, objective.template, UNTAUGHT))
    ids = np.array([tokenizer.encode(PROSE)[: model.config.block_size + 1]])
    prose = Batch((ids[:, :-1],), ids[:, 1:], {})
    with model.evaluating(), start.evaluating():
        kl = divergence(start, model, asked).item()
        more = [batch.loss(model).item() - batch.loss(start).item() for batch in (asked, prose)]
    return (f"answers that were not taught: KL from the start {kl:.3f} nats per token, loss "
            f"{more[0]:+.3f};\nplain text: loss {more[1]:+.4f} nats per token")
