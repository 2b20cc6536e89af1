"""Everything that a person sees and does while `npgpt.train.train` trains a model."""

from contextlib import ExitStack

from npgpt.run.profile import Profile
from npgpt.run.progress import Progress
from npgpt.run.signals import stop_request
from npgpt.run.standing import in_words, standing


class Watch(ExitStack):
    """Progress, Ctrl-C, and a profile of early steps: of so many, 0 for none."""

    def __init__(self, run, optimizer, ranks, profile_steps=0):
        super().__init__()
        self.progress = Progress(run.model, run.training, first_step=optimizer.steps)
        self.profile = profile_steps and Profile(profile_steps, optimizer, self.progress.write)
        self.ranks = ranks

    def __enter__(self):
        self.enter_context(self.progress)
        if self.profile:
            self.enter_context(self.profile)
        self.enter_context(stop_request(self.ranks))
        return self

    def update(self, step):
        self.progress.update(step)
        if self.profile:
            self.profile.update(step)

    def evaluated(self, text, rows):
        self.progress.write_sample(text)
        if found := standing(rows):
            self.progress.write(in_words(found))
        if (loss := rows[-1]["val_loss"]) is not None:
            self.progress.validated = f"validation {loss:.3f}"
