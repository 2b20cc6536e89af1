"""Data-parallel training with MPI: every rank has the model, and computes its rows of each batch.

    mpirun -n 2 npgpt train ...

The mean gradient of a batch is the mean of the ranks' gradients. One all-reduce per step sums a
flat buffer of all gradients; its last two numbers are the loss and the request to stop. Then every
rank takes the same optimizer step from the same numbers, so the weights stay equal. Rank 0 writes
the run folder and prints; the other ranks only compute. A rank that fails ends the job.

Source: Li et al., PyTorch Distributed, 2020 (section 2.3: all-reduce of gradients in buckets).
"""

import os
import sys
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout

import numpy as np

from autograd import compiling
from npgpt.run.watch import stop_request
from npgpt.train import CURRENT_RANKS, SingleProcess, training_steps


@contextmanager
def join_ranks():
    """Yield the `Ranks` of this job, `npgpt.train.SingleProcess` if it has one process only.

    An error of one rank inside ends all processes of the job, since the others would wait for ever;
    `mpirun` then reports an error. Raises ImportError without mpi4py, the extra mpi.
    """
    from mpi4py import MPI

    if MPI.COMM_WORLD.size == 1:
        yield SingleProcess()
        return
    ranks, said = Ranks(MPI.COMM_WORLD), sys.stderr
    with ExitStack() as stack:
        if not ranks.is_main:  # one of them speaks
            compiling.listener = None
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        try:
            yield ranks
        except BaseException as error:
            print(f"npgpt train, rank {ranks.rank}: {error}", file=said, flush=True)
            ranks.comm.Abort(1)
            raise


class Ranks:
    """The processes of a job, seen from one of them. rank: 0 to size - 1."""

    def __init__(self, comm):
        self.comm, self.rank, self.size, self.is_main = comm, comm.rank, comm.size, comm.rank == 0
        self.interrupted = []  # the signals to stop that this rank received (`npgpt.run.watch`)
        self.stopping = False  # whether any rank had one at the last step: equal on all ranks
        self._flat = None  # memory of `average`, as new memory at each step costs page faults

    def check_same(self, settings):
        """Raise ValueError, on every rank, unless all ranks have equal settings {name: value}, and
        can share each batch evenly."""
        if settings.get("reward"):
            raise ValueError("--reward is for a single process: start it without mpirun")
        if (size := settings.get("batch_size") or 0) % self.size:
            raise ValueError(f"batch_size={size} cannot be shared by {self.size} ranks; use "
                             f"--batch-size {self.size * max(1, size // self.size)}")
        everyone = self.comm.allgather(settings)
        for name in settings:
            found = [repr(theirs.get(name)) for theirs in everyone]
            if len({*found}) > 1:
                raise ValueError(
                    f"the ranks differ, so their weights would, too: {name} by rank is "
                    f"{' and '.join(found)}; start all with the same settings and programs, on the "
                    "same files"
                )

    def average(self, parameters, loss):
        """Replace each parameter's `.grad` by its mean over the ranks; return the mean loss."""
        from mpi4py import MPI

        gradients = [weight.grad.ravel() for weight in parameters.values()]
        if self._flat is None:
            self._flat = np.empty(sum(map(len, gradients)) + 2, gradients[0].dtype)
        flat = self._flat
        np.concatenate(gradients, out=flat[:-2])
        flat[-2:] = loss, bool(self.interrupted)
        self.comm.Allreduce(MPI.IN_PLACE, flat, op=MPI.SUM)
        self.stopping = bool(flat[-1] > 0)
        flat /= self.size
        start = 0
        for weight in parameters.values():
            weight.grad = flat[start : start + weight.size].reshape(weight.shape)
            start += weight.size
        return float(flat[-2])


def run_worker(run, dataset, model, optimizer):
    """Take the same steps as rank 0, without evaluating or writing."""
    ids, objective = dataset.train_ids, dataset.objective
    with stop_request():
        for _ in training_steps(model, optimizer, ids, run.training, objective):
            if CURRENT_RANKS.get().stopping:
                return
