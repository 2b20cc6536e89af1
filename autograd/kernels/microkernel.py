"""The innermost step of a matrix product, as vector instructions: a tile of c held in registers.

    c (height, columns)  (+)=  a (height, depth)  times  b (depth, columns)

A core multiplies and adds two vectors in a cycle, but reads and writes memory more slowly. So the
tile, up to ROWS rows of VECTORS vectors, stays in registers while k runs over the depth:

    for each k:
        read VECTORS vectors of b
        for each row i:
            fill a vector with copies of a_ik, multiply it with each vector of b, and add the
            products to the VECTORS sums of this row

which is ROWS + VECTORS reads for ROWS VECTORS multiply-adds, and no write. LLVM's vectoriser does
not find this arrangement, so the function is made of vectors (`autograd.kernels.vectors`). It is
called from compiled code, with flat arrays and positions in them. A vector has `lanes` entries, a
full tile `width` columns. `autograd.kernels.tiles` has the sizes.

multiply_tile(a, a0, a_row, a_col, b, b0, b_row, s, s0, s_row, c, c0, c_row,
              depth, height, columns, add)
    The step above; a_ik is a[a0 + i a_row + k a_col], b_kj is b[b0 + k b_row + j], c_ij is
    c[c0 + i c_row + j]. `height` is one of HEIGHTS, `columns` at most `width`. c_ij becomes the
    sum over k, plus s[s0 + i s_row + j] if `add`. Rows of b are read to the end of a vector.
"""

from functools import partial

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from autograd.kernels.tiles import HEIGHTS, ROWS, TILE, VECTORS
from autograd.kernels.vectors import (
    INT32,
    copies,
    first_lanes,
    load,
    position,
    store,
    vector_function,
    vector_of,
)


def read_row(builder, b, vectors, vector):
    """Load so many vectors of b, from a pointer on."""
    held = ir.VectorType(b.type.pointee, vector.count)
    steps = [INT32(v * vector.count) for v in range(vectors)]
    return [load(builder, builder.gep(b, [step]), held) for step in steps]


def multiply_add(builder, a, b, c):
    """a b + c"""
    if TILE == "plain":  # a processor without an instruction for it would call a function
        return builder.fadd(builder.fmul(a, b), c)
    fma = vector_function(builder.module, "fma", c.type, c.type, [c.type] * 3)
    return builder.call(fma, [a, b, c])


def tile_of(read=read_row, multiply_add=multiply_add):
    """Return a Numba intrinsic that multiplies one tile.    read: how b is loaded"""

    @intrinsic
    def multiply(
        typing, a, a0, a_row, a_col, b, b0, b_row, s, s0, s_row, c, c0, c_row,
        depth, height, columns, add,
    ):
        n = types.intp
        takes = types.void(a, n, n, n, b, n, n, s, n, n, c, n, n, n, n, n, types.boolean)
        return takes, partial(_call_tile, read=read, multiply_add=multiply_add)

    return multiply


multiply_tile = tile_of()


def _call_tile(context, builder, signature, values, read, multiply_add):
    a, a0, a_row, a_col, b, b0, b_row, s, s0, s_row, c, c0, c_row, *rest = values
    a_type, b_type, c_type = (signature.args[i] for i in (0, 4, 7))
    starts = (a_type, a, a0), (b_type, b, b0), (c_type, s, s0), (c_type, c, c0)
    a, b, s, c = (position(context, builder, *start) for start in starts)
    arguments = (a, a_row, a_col, b, b_row, s, s_row, c, c_row, *rest)
    vector, kinds = vector_of(context, c_type), [x.type for x in arguments]
    function = _tile_function(builder.module, vector, kinds, read, multiply_add)
    builder.call(function, arguments)
    return context.get_dummy_value()


def _tile_function(module, vector, argument_types, read, multiply_add):
    """Return the function for operands of these types, which branches to the tile of a size.

    It is not inlined: how well LLVM fills the registers must not depend on the caller's code.
    """
    signature = ir.FunctionType(ir.VoidType(), argument_types)
    b_type = argument_types[3].pointee
    name = f"autograd_{read.__name__}_{multiply_add.__name__}_{b_type}_{vector.element}"
    function = cgutils.get_or_insert_function(module, signature, name)
    if not function.is_declaration:
        return function
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    *a_and_b, s, s_row, c, c_row, depth, height, columns, add = function.args
    index, lanes = height.type, vector.count
    builder = ir.IRBuilder(function.append_basic_block())
    last = builder.udiv(builder.sub(columns, index(1)), index(lanes))  # vectors before the last
    in_last = builder.sub(columns, builder.mul(last, index(lanes)))
    whole = builder.icmp_signed("==", in_last, index(lanes))
    mask = first_lanes(builder, in_last, lanes)
    no_such_tile = builder.append_basic_block()
    size = builder.add(builder.mul(last, index(ROWS + 1)), height)
    switch = builder.switch(size, no_such_tile)
    for v in range(VECTORS):
        for h in HEIGHTS:
            block = builder.append_basic_block(f"tile_{h}x{v + 1}")
            switch.add_case(index(v * (ROWS + 1) + h), block)
            builder.position_at_end(block)
            sums = sum_over_k(builder, h, v + 1, vector, *a_and_b, depth, read, multiply_add)
            _write_tile(builder, sums, s, s_row, c, c_row, add, whole, mask)
            builder.ret_void()
    builder.position_at_end(no_such_tile)
    builder.unreachable()
    return function


def sum_over_k(
    builder, height, vectors, vector, a, a_row, a_col, b, b_row, depth, read, multiply_add,
    apart=None,
):
    """Build the loop; return the sums of the tile, a list of vectors for each row.

    apart   `read` returns two rows of b, one after the other, the second for the entries of a that
            are so many further on
    """
    steps = (0, apart) if apart else (0,)
    index = depth.type
    before = builder.block
    loop, after = builder.append_basic_block("k"), builder.append_basic_block("after")
    rows = [builder.mul(a_row, index(i)) for i in range(height)]
    # Empty assembly hides how these are related. LLVM would step from row to row with a single
    # pointer, and each read would wait for the step before.
    rows = [builder.asm(ir.FunctionType(index, [index]), "", "=r,0", [row], False) for row in rows]
    builder.branch(loop)

    builder.position_at_end(loop)
    k, a_k, b_k = builder.phi(index), builder.phi(a.type), builder.phi(b.type)
    sums = [[builder.phi(vector) for _ in range(vectors)] for _ in range(height)]
    b_k_vectors = read(builder, b_k, vectors, vector)
    new_sums = []
    for row, old_sums in zip(rows, sums, strict=True):
        a_i = [builder.gep(a_k, [builder.add(row, index(step))]) for step in steps]
        a_i = [copies(builder, builder.load(a_ik), vector.count) for a_ik in a_i]
        a_i = [a_ik for a_ik in a_i for _ in range(vectors // len(steps))]
        terms = zip(a_i, b_k_vectors, old_sums, strict=True)
        new_sums.append([multiply_add(builder, *term) for term in terms])
    next_k = builder.add(k, index(1))
    next_a, next_b = builder.gep(a_k, [a_col]), builder.gep(b_k, [b_row])
    variables = [(k, index(0), next_k), (a_k, a, next_a), (b_k, b, next_b)]
    for old_row, new_row in zip(sums, new_sums, strict=True):
        variables += [(old, vector(None), new) for old, new in zip(old_row, new_row, strict=True)]
    for variable, at_first, then in variables:
        variable.add_incoming(at_first, before)
        variable.add_incoming(then, loop)
    builder.cbranch(builder.icmp_signed("<", next_k, depth), loop, after)
    builder.position_at_end(after)
    return new_sums


def _write_tile(builder, sums, s, s_row, c, c_row, add, whole, mask):
    """Store the sums. If not `whole`, only lanes in `mask` of a row's last vector are touched."""
    index, vector, lanes = c_row.type, sums[0][0].type, sums[0][0].type.count

    def address(start, step, i, v):
        return builder.gep(start, [builder.add(builder.mul(step, index(i)), index(v * lanes))])

    def write(add, mask):
        for i, row in enumerate(sums):
            for v, total in enumerate(row):
                inside = mask if total is row[-1] else None
                if add is not None:
                    old = load(builder, address(s, s_row, i, v), vector, inside)
                    total = builder.fadd(total, builder.select(add, old, vector(None)))
                store(builder, total, address(c, c_row, i, v), inside)

    # Whole tiles have their own code: writing masked vectors takes longer.
    with builder.if_else(whole) as (complete, partial):
        with complete, builder.if_else(add) as (then, otherwise):
            with then:
                write(ir.Constant(add.type, 1), None)
            with otherwise:
                write(None, None)
        with partial:
            write(add, mask)
