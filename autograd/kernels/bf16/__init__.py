"""Products of float32 arrays whose operands are rounded to bfloat16, with sums in float32.

No kernel of float32 imports this package; `autograd.backend` chooses either. `matmul` and
`attention_products` are made of what `pairs` packs and `tile` multiplies: by AMX (`amx_tile`), or
by vector instructions (`pair_tile`). Attention has the loops of float32.
"""

from autograd.kernels.attention import attend, query_blocks, with_products
from autograd.kernels.attention_backward import attend_backward, groups_backward
from autograd.kernels.bf16 import attention_products
from autograd.kernels.bf16.matmul import multiply_bf16
from autograd.kernels.products import Products

products = Products(
    multiply_bf16, with_products(attend, query_blocks, attention_products),
    with_products(attend_backward, groups_backward, attention_products),
)
