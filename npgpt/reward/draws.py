"""Stories drawn in a batch, and the objectives that make `npgpt.train` learn from their rewards."""

from collections import Counter
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np

from npgpt import tales
from npgpt.batches import NextToken
from npgpt.data.conversations import Answers
from npgpt.evaluation.answers import answered
from npgpt.fast.storage import use_storage
from npgpt.objectives.reference import reference_of
from npgpt.reward.losses import advantages, log_probs, policy_loss
from npgpt.reward.verify import GrammarVerifier
from npgpt.support import plots
from npgpt.support.metrics import ANSWER_COLUMNS, REWARD_COLUMNS
from npgpt.support.progress import progress
from npgpt.support.text import starting_prompt

PAD = -1


def draw_stories(model, prompts, verify, rng):
    """Return token ids (B, T), a story in each row after its prompt, and PAD after its end.

    prompts   token ids of each row

    A story ends where `verify.ended`, or at T = block_size + 1 tokens with the prompt. Each token
    is the inverse of the cumulative distribution at a uniform number, for all rows at once.
    """
    B, T = len(prompts), model.config.block_size + 1
    ids_BT, P_B = np.full((B, T), PAD), np.array([*map(len, prompts)])
    for ids_T, prompt in zip(ids_BT, prompts, strict=True):
        ids_T[: len(prompt)] = prompt
    written, alive_B = [b""] * B, np.ones(B, bool)
    decoder, tokens = model.decoder(), verify.tokens
    contexts_BT = ids_BT.copy()  # rows that ended go on, unread: the decoder keeps its batch
    for t in range(P_B.min(), T):
        logits_BV = np.asarray(decoder(list(contexts_BT[:, :t])), np.float64)
        total_BV = np.cumsum(np.exp(logits_BV - logits_BV.max(axis=1, keepdims=True)), axis=1)
        below_BV = total_BV <= rng.random((B, 1)) * total_BV[:, -1:]
        writes_B = t >= P_B  # the other rows are still in their prompts
        contexts_BT[writes_B, t] = below_BV.sum(axis=1)[writes_B]
        for b in np.flatnonzero(alive_B & writes_B):
            ids_BT[b, t] = contexts_BT[b, t]
            written[b] += tokens[ids_BT[b, t]]
            alive_B[b] = not verify.ended(written[b])
        if not alive_B.any():
            break
    return ids_BT[:, : t + 1]


@dataclass(frozen=True)
class Draw:
    """Stories of a step, (B, T) arrays, with all that the loss needs; training's batch."""

    idx_BT: np.ndarray  # inputs, and below targets: 0 where a story has ended
    targets_BT: np.ndarray
    counted_BT: np.ndarray  # 1 for each target that counts
    advantage_BT: np.ndarray
    ref_BTV: np.ndarray  # ln of the reference's probability of every token
    reward_B: np.ndarray  # of each story
    valid_B: np.ndarray  # 1.0 for one that the grammar derives
    step_targets: int  # stories in the step
    config: Any  # the RewardConfig
    sums: Counter  # of what is measured, for the whole step

    @property
    def n_targets(self):
        return len(self.idx_BT)

    def rows(self, rows):
        """Return some rows of it."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.type is np.ndarray}
        return replace(self, **{name: array[rows] for name, array in arrays.items()})

    def loss(self, model):
        """Return the loss, a Tensor; what the forward tells of the policy is added to the sums."""
        logp_BT, all_BTV = log_probs(model, self.idx_BT, self.targets_BT)
        nats_B = -(logp_BT.data * self.counted_BT).sum(axis=1)
        kl_BT = (np.exp(all_BTV.data) * (all_BTV.data - self.ref_BTV)).sum(axis=-1)
        self.sums.update(
            stories=len(nats_B), reward=float(self.reward_B.sum()), valid=float(self.valid_B.sum()),
            nats=float(nats_B @ self.valid_B), kl=float((kl_BT * self.counted_BT).sum()),
        )
        return policy_loss(logp_BT, all_BTV, self, self.config.reward_kl)


def draw_reward(run, rows, dataset, *_):
    """Draw reward.png of a run that learned from a reward; return its path."""
    return plots.reward_picture(run.folder / "reward.png", rows, title=run.folder.name,
                                entropy=dataset.objective.entropy)


class Rewarded(NextToken):
    """The objective that draws its batches from the model; evaluations are a GPT's, on a text.

    reference   the model at the start
    verify      a `npgpt.reward.verify.GrammarVerifier`, or a callable like it
    prompt_P    token ids before each story
    """

    columns, better_start = REWARD_COLUMNS, "a better run of the tales"
    picture = staticmethod(draw_reward)

    def __init__(self, tokenizer, model, reference, verify, prompt_P, config):
        super().__init__(tokenizer)
        self.model, self.reference, self.verify, self.prompt_P = model, reference, verify, prompt_P
        self.config, self.step = config, None

    @property
    def entropy(self):
        """The entropy of right stories, in nats per story."""
        return tales.GRAMMAR.expectation()[0]

    def tasks(self, count, seed, step):
        """Return (prompt_P, verify) for each of the stories that are drawn at a step."""
        return [(self.prompt_P, self.verify)] * count

    @property
    def measured(self):
        """Return means over the stories of the last step; entropy and KL in nats per story.

        entropy   of the right stories: the mean of -ln pi(y) among them, plus ln of their share
        kl        from the reference, exact at each token that was drawn
        """
        sums = self.batch.sums
        mean = {name: sums[name] / sums["stories"] for name in ("reward", "valid", "kl")}
        right = sums["valid"]
        mean["entropy"] = sums["nats"] / right + np.log(mean["valid"]) if right else None
        return {name: mean.get(name) for name in self.columns}

    def sample(self, ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
        """Return the `Draw` of a step, or some rows of it; the text is not read."""
        if step != self.step:
            self.batch, self.step = self.judged(*self._stories(batch_size, seed, step)), step
        return self.batch.rows(rows)

    @progress("drawing the first stories")
    def check(self):
        """Draw the stories of the first step. Raises ValueError if nothing would be learned."""
        config = self.config
        count = config.batch_size * config.gradient_accumulation_steps
        self.sample(None, None, count, seed=config.seed, step=0)
        if not self.batch.valid_B.any():
            raise ValueError(f"--reward: none of the first {count} stories is right, so nothing is "
                             f"rewarded; give --init-from {self.better_start}")

    def _stories(self, count, seed, step):
        """Return the arguments of `judged` for a step's stories."""
        tasks = self.tasks(count, seed, step)
        prompts, rng = [prompt_P for prompt_P, _ in tasks], np.random.default_rng((seed, step))
        return draw_stories(self.model, prompts, self.verify, rng), tasks

    def judged(self, ids, tasks=None):
        """Return the `Draw` of stories (B, T + 1): verified, beside the reference, weighted.

        tasks    of each story; None for `tasks`
        """
        config, tasks = self.config, tasks or self.tasks(len(ids), 0, 0)
        P_B = np.array([len(prompt_P) for prompt_P, _ in tasks])
        verdicts = [verify(row[P:][row[P:] != PAD])
                    for row, P, (_, verify) in zip(ids, P_B, tasks, strict=True)]
        ref_BTV = frozen_log_probs(self.reference, ids)[1]
        counted_BT = (ids[:, 1:] != PAD) & (np.arange(1, ids.shape[1]) >= P_B[:, None])
        reward_B = np.array([verdict.reward for verdict in verdicts])
        advantage_BT = self.advantages(reward_B, ids, counted_BT)[:, None] * counted_BT
        if config.reward_credit == "token":
            for b, verdict in enumerate(verdicts):
                if verdict.wrong is not None:  # the tokens after it decide nothing
                    advantage_BT[b, P_B[b] + verdict.wrong :] = 0
        dtype = ref_BTV.dtype
        return Draw(
            *shifted(ids), counted_BT.astype(dtype), advantage_BT.astype(dtype), ref_BTV,
            reward_B.astype(dtype), np.array([verdict.right for verdict in verdicts], dtype),
            len(ids), config, Counter(),
        )

    def advantages(self, reward_B, ids, counted_BT):
        """Return the advantage of each story, (B,)."""
        return advantages(reward_B)


class RewardedAnswers(Rewarded, Answers):
    """The same for requests of a story, of which one is drawn for each; evaluations are of answers.

    requests   `npgpt.data.conversations.Conversation` objects
    """

    columns = (*REWARD_COLUMNS, *ANSWER_COLUMNS)
    better_start = "a better run of --conversations tales"

    def __init__(self, dataset, model, reference, config):
        tokenizer, end = dataset.tokenizer, dataset.template.end or "\0"
        self.judge = cache(lambda grammar: GrammarVerifier(tokenizer, grammar, end, "\n\n"))
        judge = self.judge(tales.GRAMMAR)
        super().__init__(tokenizer, model, reference, judge, None, config)
        self.requests = [t for t in dataset.train_ids.talks if t.question.kind == "story"]

    @property
    def entropy(self):
        grammars = Counter(talk.question.grammar for talk in self.requests)
        return sum(n * g.expectation()[0] for g, n in grammars.items()) / len(self.requests)

    def quality(self, model, dataset):
        found = answered(model, dataset, dataset.val_ids)
        (right, asked), stories = np.sum([*found.right.values()], axis=0), found.right.get("story")
        share = np.divide(*stories) if stories else None
        return dict(zip(ANSWER_COLUMNS, (right / asked, share, found.entropy), strict=True))

    def tasks(self, count, seed, step):
        drawn = np.random.default_rng((seed, step, 1)).integers(len(self.requests), size=count)
        asked = [self.requests[i] for i in drawn]
        return [(talk.prompt_T, self.judge(talk.question.grammar)) for talk in asked]


def shifted(ids):
    """Return (inputs, targets), (B, T) each, of padded rows (B, T + 1)."""
    ids = np.where(ids == PAD, 0, ids)
    return ids[:, :-1], ids[:, 1:]


def frozen_log_probs(model, ids):
    """Return `log_probs` of padded rows as arrays."""
    with model.evaluating():
        return [tensor.data for tensor in log_probs(model, *shifted(ids))]


def rewarded(dataset, model, optimizer, config):
    """Return a `npgpt.batches.Dataset` of tales, or of conversations about them, with the objective
    `Rewarded` or `RewardedAnswers`, after `npgpt.objectives.reference.keep_reference`.

    Raises ValueError for a model that cannot learn so.
    """
    asked, objective = dataset.template, dataset.objective
    if not (asked or (objective.left_to_right and objective.every_token)):
        raise ValueError("--reward: a model that fills gaps writes no story from its beginning; "
                         "give --init-from a run of arch gpt or llama")
    if model.config.dropout:
        raise ValueError("--reward: a model with dropout is not the one that drew the stories; "
                         "give --dropout 0")
    reference = reference_of(model, optimizer)
    for each in (model, reference):
        use_storage(each, "fp32")
    tokenizer = dataset.tokenizer
    if asked:
        objective = RewardedAnswers(dataset, model, reference, config)
    else:
        prompt_P, verify = tokenizer.encode(starting_prompt(tokenizer)), GrammarVerifier(tokenizer)
        objective = Rewarded(tokenizer, model, reference, verify, prompt_P, config)
    return replace(dataset, objective=objective)
