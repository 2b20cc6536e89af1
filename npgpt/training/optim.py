"""AdamW: each weight moves by its mean gradient in units of the gradient's usual size.

The equations stand in `autograd.kernels.optimizer`, and in NumPy in `autograd.reference.adamw_`.
"""

import math

import numpy as np

from autograd import backend


class AdamW:
    """Adam with decoupled weight decay, after clipping the gradients by their global norm.

    parameters     dict of name -> Tensor, each weight once; updated in place
    lr             step size: about how far each number moves per step
    betas          memory of the running means of the gradient and of its square
    eps            added to the root of the mean square, against division by 0
    weight_decay   share lr * weight_decay of a weight that is removed per step; matrices and
                   embeddings only: biases and gains of norms do not overfit, and must not shrink
    grad_clip      largest norm of all gradients together; None or 0 for no clipping

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, algorithm 2.
    """

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1,
                 grad_clip=1.0):  # fmt: skip
        self.parameters = dict(parameters)
        if len({id(p) for p in self.parameters.values()}) < len(self.parameters):
            raise ValueError("AdamW: a weight is listed twice, and would move twice; name it once")
        self.lr, self.betas, self.eps = lr, betas, eps
        self.weight_decay, self.grad_clip = weight_decay, grad_clip
        self.steps = 0
        self.m = {name: np.zeros_like(p.data) for name, p in self.parameters.items()}
        self.v = {name: np.zeros_like(p.data) for name, p in self.parameters.items()}

    def step(self, lr=None):
        """Update every weight that has a gradient; return the global norm before clipping.

        lr   the rate of this step, if a schedule sets it

        Raises RuntimeError without any gradient, FloatingPointError if the norm is not finite: no
        weight has moved then.
        """
        gradients = {
            name: np.ascontiguousarray(p.grad).reshape(-1)
            for name, p in self.parameters.items()
            if p.grad is not None
        }
        if not gradients:
            raise RuntimeError("AdamW: no weight has a gradient; call loss.backward() first")
        norm = global_norm(gradients.values())
        if not math.isfinite(norm):
            raise FloatingPointError(
                f"AdamW: the gradient norm is {norm}, so no weight was moved; the loss has "
                "diverged: start again with a lower learning rate or a longer warm-up"
            )
        scale = min(1.0, self.grad_clip / norm) if self.grad_clip and norm > 0 else 1.0
        lr = self.lr if lr is None else lr
        self.steps += 1
        for name, gradient in gradients.items():
            weight = self.parameters[name].data
            decay = self.weight_decay if weight.ndim >= 2 else 0.0
            backend.adamw_(
                weight.reshape(-1), gradient, self.m[name].reshape(-1), self.v[name].reshape(-1),
                float(lr), *map(float, self.betas), float(self.eps), float(decay), float(scale),
                self.steps,
            )  # fmt: skip
        return norm

    def zero_grad(self):
        """Forget the gradients: the next backward starts from nothing."""
        for p in self.parameters.values():
            p.grad = None


def global_norm(gradients):
    """The length of all gradients taken as one vector."""
    return math.sqrt(sum(backend.sum_of_squares(g) for g in gradients))
