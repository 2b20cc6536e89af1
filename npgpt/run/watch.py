"""`npgpt.train.Watch` with everything a person sees and does while a model trains."""

from contextlib import ExitStack

from npgpt.run.diagnostics import divergence_explained
from npgpt.run.profile import Profile
from npgpt.run.progress import Progress
from npgpt.run.signals import stop_request
from npgpt.train import Watch


class LiveWatch(Watch):
    """Shows progress, profiles early steps, stops at Ctrl-C, explains a loss that is not finite.

    profile_steps   how many steps to profile, 0 for none
    """

    def __init__(self, run, dataset, model, optimizer, ranks=None, profile_steps=0):
        self.progress = Progress(run.model, run.training, first_step=optimizer.steps)
        self.contexts = (
            self.progress,
            Profile(profile_steps, optimizer, report=self.progress.write),
            stop_request(ranks),
            divergence_explained(
                run, model, optimizer, dataset.train_ids, ranks, dataset.objective
            ),
        )
        self.stack = ExitStack()

    def __enter__(self):
        _, self.profile, self.stop, _ = map(self.stack.enter_context, self.contexts)
        return self

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)

    def update(self, step):
        super().update(step)
        self.progress.update(step)
        self.profile.update(step)

    def evaluated(self, text, val_loss):
        self.progress.write(text)
        self.progress.validated = f"validation {val_loss:.3f}"
