"""The arithmetic of the larger ops, compiled by Numba: arrays in, arrays out, no Tensors.

The contract, the same for every kernel and for its reference implementation of the same name in
`autograd.reference`:

- Arguments are C-contiguous arrays, all float32 or all float64 (indices int64); the same source
  serves both types. Results are new arrays. A name that ends in `_` works in place.
  Only attention takes views, and returns some: see there.
- No checks (the op has made them), no hidden state. An argument is written to only in place, and
  then shares no memory with another one.
- Each thread writes parts of the result that no other thread writes. A sum across such parts goes
  through partial sums over chunks of fixed size, added in fixed order. So the number of threads
  (NUMBA_NUM_THREADS) changes no bit of the result.
- NaN in, NaN out.

Dimension letters, which end the name of every array of known rank:

    B batch    T query time    S key time    C channels    H heads    D head size
    F MLP hidden    V vocabulary    N flattened rows    I, O features in, out
    E half of D    G heads of keys and values, where they are fewer than heads of queries
    Z independent problems (batch times heads)    M, N, K of a matrix product (M,K) (K,N)

The gradient of the loss with respect to x_NC is dx_NC. One file a family, forward and backward
adjacent: matmul, softmax, layer_norm, rms_norm, activations, rotary, cross_entropy, embedding,
optimizer; attention has one for each. `products` calls matmul and attention. `bf16` has the same
functions, on operands that are rounded to bfloat16: no file here imports it, the backend chooses.
`decode` is a whole step of generation, and its reference is the model. `compiler` has the
decorators and the cache of compiled code, `tiles` the sizes of what a core holds in registers,
`vectors` and `microkernel` its code, `panels` the operands in the order in which it reads them,
`vector_math` exp, `addresses` lists of arrays, `process` the settings of the process that are made
when this package is imported, at the first call of a kernel.

A public function makes room for the result with NumPy, which asks the system for large pages, and
calls a kernel; `embedding_backward_`, which needs no room, is itself one. Loops run over rows or
slices from 0. Only then is the compiler certain that an index is never negative, which in Python
counts from the end, and that the entries lie side by side: without that there are no vector
instructions.
"""

import autograd.kernels.decode  # for npgpt.fast.decoder
from autograd.kernels import process
from autograd.kernels.activations import (
    dropout,
    gelu,
    gelu_backward,
    gelu_exact,
    gelu_exact_backward,
    silu,
    silu_backward,
)
from autograd.kernels.cross_entropy import cross_entropy, cross_entropy_backward
from autograd.kernels.embedding import embedding, embedding_backward_
from autograd.kernels.layer_norm import layer_norm, layer_norm_backward
from autograd.kernels.optimizer import adamw_, sum_of_squares
from autograd.kernels.products import in_float32
from autograd.kernels.rms_norm import rms_norm, rms_norm_backward
from autograd.kernels.rotary import rotary
from autograd.kernels.softmax import (
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)

add_matmul_tn_ = in_float32.add_matmul_tn_
attention, attention_backward = in_float32.attention, in_float32.attention_backward
linear, linear_backward = in_float32.linear, in_float32.linear_backward
matmul, matmul_nt, matmul_tn = in_float32.matmul, in_float32.matmul_nt, in_float32.matmul_tn

process.prepare()
