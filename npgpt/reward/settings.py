"""The settings of a run that learns from a reward: those of any training, and these."""

from dataclasses import dataclass, fields

from npgpt.config import TrainConfig, setting

# Defaults of `npgpt train --reward` in place of a preset's, and the conversations that it judges.
DEFAULTS = {"grammar": {
    "max_iters": 300, "batch_size": 64, "lr": 3e-4, "min_lr": 3e-5, "warmup_iters": 10,
    "weight_decay": 0.0, "eval_interval": 50, "conversations": (),
}}
# Without the KL penalty the model unlearns plain stories, and in more steps to copy names.
DEFAULTS["answers"] = DEFAULTS["grammar"] | {
    "max_iters": 100, "conversations": ("tales",), "reward_kl": 0.1}


@dataclass(frozen=True)
class RewardConfig(TrainConfig):
    """The settings of training with a reward. Raises ValueError for a value that none can have."""

    reward: str = setting(
        "grammar: judges tales; answers: tales asked for", group="reward",
        choices=("", *DEFAULTS), default="",
    )
    reward_credit: str = setting(
        "of a wrong story blame all (story) or up to the first wrong token (token)",
        choices=("story", "token"), default="story",
    )
    reward_kl: float = setting("weight of the KL penalty, 0.1 for answers", default=0.0)


def checked(config):
    """Return the settings of a new run by a RewardConfig: a TrainConfig if it has no reward.

    Raises ValueError for a setting of a reward that nothing reads, or that contradicts another.
    """
    for name in ("reward_credit", "reward_kl"):
        value = getattr(config, name)
        if value != getattr(RewardConfig, name) and not config.reward:
            raise ValueError(f"RewardConfig: {name}={value} needs reward=grammar or answers; give "
                             f"that, or leave {name} out")
    judged = DEFAULTS.get(config.reward, vars(config))["conversations"]
    if config.conversations != judged:
        raise ValueError("--reward grammar judges stories, and --reward answers what is asked of "
                         "tales: leave --conversations out")
    if config.reward:
        return config
    return TrainConfig(**{known.name: getattr(config, known.name) for known in fields(TrainConfig)})
