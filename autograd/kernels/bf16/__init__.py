"""Products of float32 arrays whose operands are rounded to bfloat16, with sums in float32.

No kernel of float32 imports this package; `autograd.backend` chooses either. `matmul` and
`attention_products` are made of what `pairs` packs and `tile` multiplies: by AMX (`amx_tile`), or
by vector instructions (`pair_tile`). Attention has the loops of `autograd.kernels.attention`.
"""

import numpy as np
from numba import prange

from autograd.kernels.attention import loops_with
from autograd.kernels.bf16 import attention_products
from autograd.kernels.bf16.matmul import multiply_bf16
from autograd.kernels.compiler import kernel
from autograd.kernels.products import Products

_query_blocks, _groups_backward = loops_with(attention_products)


@kernel
def attend_bf16(table, lse_BHT, visible, G, S, D, threads):
    for thread in prange(threads):
        _query_blocks(np.int64(thread), threads, table, lse_BHT, visible, G, S, D)


@kernel
def attend_backward_bf16(table, lse_BHT, visible, G, S, D, threads):
    for thread in prange(threads):
        _groups_backward(np.int64(thread), threads, table, lse_BHT, visible, G, S, D)


products = Products(multiply_bf16, attend_bf16, attend_backward_bf16)
