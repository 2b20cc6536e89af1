"""Everything that a person sees and does while `npgpt.train.train` trains a model."""

from contextlib import ExitStack

from npgpt.run.progress import Progress
from npgpt.run.signals import stop_request


class Watch:
    """Progress, a profile of early steps, Ctrl-C, and a diagnosis of a loss that is not finite.

    profile_steps   how many steps to profile, 0 for none
    """

    def __init__(self, run, dataset, model, optimizer, ranks=None, profile_steps=0):
        self.trained = run, model, optimizer, dataset.train_ids, ranks, dataset.objective
        self.progress = Progress(run.model, run.training, first_step=optimizer.steps)
        self.profile_steps, self.stack = profile_steps, ExitStack()

    def __enter__(self):
        _, _, optimizer, _, ranks, _ = self.trained
        self.stack.enter_context(self.progress)
        if self.profile_steps:
            from npgpt.run.profile import Profile

            profile = Profile(self.profile_steps, optimizer, report=self.progress.write)
            self.profile = self.stack.enter_context(profile)
        self.stop = self.stack.enter_context(stop_request(ranks))
        return self

    def __exit__(self, kind, error, traceback):
        with self.stack:
            if isinstance(error, FloatingPointError):
                from npgpt.run.diagnostics import divergence_explained

                with divergence_explained(*self.trained):
                    raise error

    def update(self, step):
        self.progress.update(step)
        if self.profile_steps:
            self.profile.update(step)

    def evaluated(self, text, val_loss):
        self.progress.write(text)
        self.progress.validated = f"validation {val_loss:.3f}"
