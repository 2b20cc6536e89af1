"""Stories drawn in a batch, and the objective that makes `npgpt.train` learn from their rewards."""

from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from npgpt import plots, tales
from npgpt.batches import NextToken
from npgpt.fast.storage import use_storage
from npgpt.metrics import REWARD_COLUMNS
from npgpt.reward.losses import advantages, dpo_loss, log_probs, policy_loss
from npgpt.reward.verify import GrammarVerifier
from npgpt.text import starting_prompt

PAD = -1


def draw_stories(model, prompt_P, count, verify, rng):
    """Return token ids (count, T), a story in each row after the prompt, and PAD after its end.

    A story ends where `verify.ended`, or at T = block_size + 1 tokens with the prompt. Each token
    is the inverse of the cumulative distribution at a uniform number, for all rows at once.
    """
    P, T = len(prompt_P), model.config.block_size + 1
    ids_BT = np.full((count, T), PAD)
    ids_BT[:, :P] = prompt_P
    written, alive_B = [b""] * count, np.ones(count, bool)
    decoder, tokens = model.decoder(), verify.tokens
    contexts_BT = ids_BT.copy()  # rows that ended go on, unread: the decoder keeps its batch
    for t in range(P, T):
        logits_BV = np.asarray(decoder(list(contexts_BT[:, :t])), np.float64)
        total_BV = np.cumsum(np.exp(logits_BV - logits_BV.max(axis=1, keepdims=True)), axis=1)
        below_BV = total_BV <= rng.random((count, 1)) * total_BV[:, -1:]
        contexts_BT[:, t] = below_BV.sum(axis=1)
        for b in np.flatnonzero(alive_B):
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
    scale_BT: np.ndarray  # the weight of each target's term: 0 where it does not count
    advantage_BT: np.ndarray
    old_BT: np.ndarray  # ln of the probability with which it was drawn; 0 unless needed
    ref_BT: np.ndarray  # ln of the reference's probability of the target, and below of every token
    ref_BTV: np.ndarray
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
        if self.config.reward_loss == "dpo":
            return dpo_loss(logp_BT, self, self.config)
        return policy_loss(logp_BT, all_BTV, self, self.config)


class Rewarded(NextToken):
    """The objective that draws its batches from the model; evaluations are a GPT's, on a text.

    reference   the model at the start
    verify      a `npgpt.reward.verify.GrammarVerifier`, or a callable like it
    prompt_P    token ids before each story
    drawn       arrays "ids" (U B, T) and "old" (U B, T - 1) of the last draw, if U = reward_updates
                steps share one: what a resumed run needs of it
    """

    columns = REWARD_COLUMNS

    def __init__(self, tokenizer, model, reference, verify, prompt_P, config, drawn=None):
        super().__init__(tokenizer)
        self.model, self.reference, self.verify, self.prompt_P = model, reference, verify, prompt_P
        self.config, self.drawn, self.step = config, drawn, None

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
        return {name: mean[name] for name in self.columns}

    def sample(self, ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
        """Return the `Draw` of a step, or some rows of it; the text is not read."""
        if step != self.step:
            self.batch, self.step = self.judged(*self._stories(batch_size, seed, step)), step
        return self.batch.rows(rows)

    def check(self):
        """Draw the stories of the first step. Raises ValueError if nothing would be learned."""
        config = self.config
        count = config.batch_size * config.gradient_accumulation_steps
        self.sample(None, None, count, seed=config.seed, step=0)
        if not (self.batch.valid_B.any() or config.reward_entropy):
            raise ValueError(f"--reward: none of the first {count} stories is right, so nothing is "
                             "rewarded; give --init-from a better run of the tales")

    def _stories(self, count, seed, step):
        """Return (ids, ln of their probabilities as they were drawn, or None) of a step's stories.

        reward_updates steps share a draw. A run that is resumed between two of them finds it in
        `drawn`, which checkpoints save.
        """
        updates, rng = self.config.reward_updates, np.random.default_rng((seed, step))
        model = self.reference if self.config.reward_draws == "start" else self.model
        if updates == 1:
            return draw_stories(model, self.prompt_P, count, self.verify, rng), None
        if step % updates == 0:
            ids = draw_stories(model, self.prompt_P, updates * count, self.verify, rng)
            self.drawn["ids"][:] = PAD
            self.drawn["ids"][:, : ids.shape[1]] = ids
            self.drawn["old"][:, : ids.shape[1] - 1] = frozen_log_probs(self.model, ids)[0]
        own = slice(step % updates * count, (step % updates + 1) * count)
        longest = (self.drawn["ids"][own] != PAD).any(axis=0).sum()
        return self.drawn["ids"][own, :longest], self.drawn["old"][own, : longest - 1]

    def judged(self, ids, old_BT=None):
        """Return the `Draw` of stories (B, T + 1): verified, beside the reference, weighted."""
        config, P = self.config, len(self.prompt_P)
        verdicts = [self.verify(row[P:][row[P:] != PAD]) for row in ids]
        B, T = ids.shape[0], ids.shape[1] - 1
        ref_BT, ref_BTV = frozen_log_probs(self.reference, ids)
        counted_BT = (ids[:, 1:] != PAD) & (np.arange(T) >= P - 1)
        reward_B = returns_B = np.array([verdict.reward for verdict in verdicts])
        if config.reward_kl_estimator == "reward":
            own_BT = frozen_log_probs(self.model, ids)[0] if old_BT is None else old_BT
            spent_B = ((own_BT - ref_BT) * counted_BT).sum(axis=1)
            returns_B = reward_B - config.reward_kl * spent_B
        advantage_BT = advantages(returns_B, counted_BT, config.reward_advantage)
        if config.reward_credit == "token":
            for b, verdict in enumerate(verdicts):
                if verdict.wrong is not None:  # the tokens after it decide nothing
                    advantage_BT[b, P + verdict.wrong :] = 0
        scale_BT = counted_BT * 1.0
        if config.reward_length == "mean":
            scale_BT /= np.maximum(counted_BT.sum(axis=1, keepdims=True), 1)
        dtype = ref_BT.dtype
        return Draw(
            *shifted(ids), counted_BT.astype(dtype), scale_BT.astype(dtype),
            advantage_BT.astype(dtype), np.zeros_like(ref_BT) if old_BT is None else old_BT,
            ref_BT, ref_BTV, reward_B.astype(dtype),
            np.array([verdict.right for verdict in verdicts], dtype), B, config, Counter(),
        )


def shifted(ids):
    """Return (inputs, targets), (B, T) each, of padded rows (B, T + 1)."""
    ids = np.where(ids == PAD, 0, ids)
    return ids[:, :-1], ids[:, 1:]


def frozen_log_probs(model, ids):
    """Return `log_probs` of padded rows as arrays."""
    with model.evaluating():
        return [tensor.data for tensor in log_probs(model, *shifted(ids))]


def remember(model, optimizer, config):
    """Let the optimizer's checkpoints hold the model as it is now, and the last draw if shared."""
    weights = {name: weight.data.copy() for name, weight in model.parameters().items()}
    optimizer.add_state("reference", weights)
    if config.reward_updates > 1:
        count = config.reward_updates * config.batch_size * config.gradient_accumulation_steps
        T = model.config.block_size
        optimizer.add_state("drawn", {
            "ids": np.full((count, T + 1), PAD), "old": np.zeros((count, T), np.float32),
        })


def rewarded(dataset, model, optimizer, config, ranks):
    """Return a `npgpt.batches.Dataset` of tales with the objective `Rewarded`, after `remember`.

    Raises ValueError for a model that cannot learn so.
    """
    if not (dataset.objective.left_to_right and dataset.objective.every_token):
        raise ValueError("--reward: a model that fills gaps writes no story from its beginning; "
                         "give --init-from a run of arch gpt or llama")
    if ranks.size > 1:
        raise ValueError("--reward is for a single process: start it without mpirun")
    if model.config.dropout:
        raise ValueError("--reward: a model with dropout is not the one that drew the stories; "
                         "give --dropout 0")
    reference = type(model)(model.config, seed=0)
    for name, weight in reference.parameters().items():
        weight.data = optimizer.extra_state["reference"][name]
    for each in (model, reference):
        use_storage(each, "fp32")
    tokenizer = dataset.tokenizer
    prompt_P = tokenizer.encode(starting_prompt(tokenizer))
    objective = Rewarded(
        tokenizer, model, reference, GrammarVerifier(tokenizer), prompt_P, config,
        optimizer.extra_state.get("drawn"),
    )
    return replace(dataset, objective=objective)


def draw_reward(run, rows, *_):
    """Draw reward.png of a run that learned from a reward; return its path."""
    entropy, _ = tales.GRAMMAR.expectation()
    return plots.reward_picture(run.folder / "reward.png", rows, title=run.folder.name,
                                entropy=entropy)
