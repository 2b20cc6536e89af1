"""The settings of a run that learns from a reward: those of any training, and these."""

from dataclasses import dataclass, fields

from npgpt.config import TrainConfig, setting

# What settings of a reward need where they differ from their defaults, a test and words for it.
REWARD_NEEDS = (
    ("kl kl_estimator entropy updates clip credit advantage length draws loss",
     lambda c: c.reward, "reward=grammar or answers"),
    ("kl_estimator entropy updates clip credit advantage length",
     lambda c: c.reward_loss == "policy", "reward_loss=policy"),
    ("kl_estimator loss", lambda c: c.reward_kl, "reward_kl, such as 0.1"),
    ("clip", lambda c: c.reward_updates > 1, "reward_updates=2 or more"),
    ("credit", lambda c: c.reward_advantage != "none", "reward_advantage=mean"),
    ("credit", lambda c: c.reward_kl_estimator != "reward", "reward_kl_estimator=full"),
    ("loss", lambda c: c.gradient_accumulation_steps == 1, "gradient_accumulation_steps=1"),
    ("draws", lambda c: c.reward_loss == "dpo" or c.reward_advantage == "none",
     "reward_advantage=none, rejection sampling"),
    ("loss", lambda c: c.reward != "answers", "reward=grammar, as a pair has one prompt"),
    ("draws", lambda c: c.reward_updates == 1, "reward_updates=1"),
)
ANSWERED = {"grammar": (), "answers": ("tales",)}  # the conversations that a reward judges
# Defaults of `npgpt train --reward` in place of a preset's.
DEFAULTS = {
    "max_iters": 300, "batch_size": 64, "lr": 3e-4, "min_lr": 3e-5, "warmup_iters": 10,
    "weight_decay": 0.0, "eval_interval": 50,
}


def _switch(help, *values, group=None):
    """Return a field with one of these values, the first by default."""
    return setting(help, group=group, choices=values, default=values[0])


@dataclass(frozen=True)
class RewardConfig(TrainConfig):
    """The settings of training with a reward. Raises ValueError for a value that none can have."""

    reward: str = _switch(
        "grammar: judges tales; answers: tales asked for", "", "grammar", "answers", group="reward",
    )
    reward_loss: str = _switch("policy; dpo: on pairs of right and wrong stories", "policy", "dpo")
    reward_draws: str = _switch("who writes: policy; start, the model before", "policy", "start")
    reward_credit: str = _switch(
        "of a wrong story blame all (story) or up to the first wrong token (token)",
        "story", "token",
    )
    reward_advantage: str = _switch(
        "reward less the batch's mean; std: over its deviation; none: as it is",
        "mean", "std", "none",
    )
    reward_length: str = _switch("a story's tokens add up (sum) or average (mean)", "sum", "mean")
    reward_kl: float = setting("weight of the KL from the start; DPO's beta", default=0.0)
    reward_kl_estimator: str = _switch(
        "full, k1, k2, k3; reward: k1, in the reward", "full", "k1", "k2", "k3", "reward"
    )
    reward_entropy: float = setting("weight of an entropy bonus", default=0.0)
    reward_updates: int = setting("steps that share a draw", default=1)
    reward_clip: float = setting("if they do: where a ratio is clipped", default=0.2)


def checked(config):
    """Return the settings of a new run by a RewardConfig: a TrainConfig if it has no reward.

    Raises ValueError for a setting of a reward that nothing reads, or that contradicts another. A
    stored run with such a setting was trained as if it were the default.
    """
    for names, so, needed in REWARD_NEEDS:
        for name in (f"reward_{name}" for name in names.split()):
            value = getattr(config, name)
            if value != getattr(RewardConfig, name) and not so(config):
                raise ValueError(
                    f"RewardConfig: {name}={value} needs {needed}; give that, or leave {name} out"
                )
    if config.conversations != ANSWERED.get(config.reward, config.conversations):
        raise ValueError("--reward grammar judges stories, and --reward answers what is asked of "
                         "tales: leave --conversations out")
    if config.reward:
        return config
    return TrainConfig(**{known.name: getattr(config, known.name) for known in fields(TrainConfig)})
