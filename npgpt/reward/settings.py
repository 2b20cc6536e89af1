"""The settings of a run that learns from a reward: those of any training, and these."""

from dataclasses import dataclass

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
    """The settings of training with a reward. Raises ValueError for what it does not judge."""

    reward: str = setting(
        "grammar: judges tales; answers: tales asked for", group="reward",
        choices=tuple(DEFAULTS), default="",
    )
    reward_credit: str = setting(
        "of a wrong story blame all (story) or up to the first wrong token (token)",
        choices=("story", "token"), default="story",
    )
    reward_kl: float = setting("weight of the KL penalty, 0.1 for answers", default=0.0)

    def __post_init__(self):
        super().__post_init__()
        if self.conversations != DEFAULTS[self.reward]["conversations"]:
            raise ValueError("--reward grammar judges stories, and --reward answers what is asked "
                             "of tales: leave --conversations out")


def settings_class(given):
    """Return the class for settings of training by name: a RewardConfig has a reward.

    Raises ValueError for a setting of a reward without one.
    """
    if given.get("reward"):
        return RewardConfig
    for name in vars(RewardConfig)["__annotations__"].keys() & given:
        raise ValueError(f"RewardConfig: {name}={given[name]} needs reward=grammar or answers; "
                         f"give that, or leave {name} out")
    return TrainConfig
