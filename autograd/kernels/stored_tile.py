"""A tile of c whose b is a matrix of weights in memory, which may be quantized.

multiply_streamed(...)
    As multiply_tile of `autograd.kernels.microkernel`, where b is read from memory once: it is
    prefetched AHEAD bytes before it is needed. One core then reads 16 to 18 GB/s at any height,
    and without prefetching 13 for a single row and 9 for 8; of int8 15 instead of 11, and 9 instead
    of 3. If a and c are float32, b may be uint16, upper halves of float32 (bfloat16), or int8.
multiply_grouped(a, a0, a_row, b, b0, s, s0, c, c0, groups, height)
    c = a b for a tile that is whole, in float32, with b in int8. Each GROUP rows of b have a scale
    and an offset for each column, the bits of float16: `width` scales from s0 on, then as many
    offsets. A weight is scaled in its register, to exactly the float32 that it stands for.
"""

from functools import partial

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from autograd.kernels.microkernel import multiply_add, read_row, sum_over_k, tile_of
from autograd.kernels.tiles import BYTES, GROUP, HEIGHTS, LINE, TILE, VECTORS
from autograd.kernels.vectors import INT32, load, position, store, vector_of

AHEAD = 4096
WIDTH = VECTORS * BYTES // 4
SIZES = {"i8": 1, "i16": 2, "float": 4, "double": 8}  # bytes


def _read_ahead(builder, b, vectors, vector):
    row = read_row(builder, b, vectors, vector)
    _prefetch(builder, b, vectors * vector.count * SIZES[str(b.type.pointee)])
    return [_widened(builder, b_j, vector) for b_j in row]


def _prefetch(builder, start, size):
    """Have the L2 cache read `size` bytes from AHEAD behind `start` on; they may not exist."""
    byte = ir.IntType(8)
    start = builder.bitcast(start, byte.as_pointer())
    takes = ir.FunctionType(ir.VoidType(), [start.type, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(builder.module, takes, "llvm.prefetch.p0")
    for line in range(0, size, LINE):
        address = builder.gep(start, [ir.IntType(64)(AHEAD + line)])
        builder.call(function, [address, INT32(0), INT32(2), INT32(1)])  # to read, in L2, data


def _widened(builder, b, vector):
    """Return a vector as float32, which may be stored in fewer bytes."""
    stored, wide = str(b.type.element), ir.VectorType(INT32, vector.count)
    if stored == "i16":  # the upper half of a float32
        sixteen = wide([16] * vector.count)
        return builder.bitcast(builder.shl(builder.zext(b, wide), sixteen), vector)
    return builder.sitofp(builder.sext(b, wide), vector) if stored == "i8" else b


def _scaled(builder, b, vectors, vector, factors):
    """Read codes; return scale * code + offset."""
    codes, scales, offsets = _read_ahead(builder, b, vectors, vector), *factors
    rows = zip(codes, scales, offsets, strict=True)
    return [multiply_add(builder, code, scale, offset) for code, scale, offset in rows]


def _halves(builder, start, vector):
    """Return a vector as float32 from the bits of float16, whose exponent has 112 less."""
    held = ir.VectorType(ir.IntType(16), vector.count)
    wide = ir.VectorType(INT32, vector.count)

    def every(value):
        return wide([value] * vector.count)

    bits = builder.zext(load(builder, start, held), wide)
    sign = builder.shl(builder.and_(bits, every(0x8000)), every(16))
    rest = builder.shl(builder.and_(bits, every(0x7FFF)), every(13))
    number = builder.bitcast(builder.or_(sign, rest), vector)
    return builder.fmul(number, vector([2.0**112] * vector.count))


@intrinsic
def _multiply_grouped(typing, a, a0, a_row, b, b0, s, s0, c, c0, groups, height):
    n = types.intp
    return types.void(a, n, n, b, n, s, n, c, n, n, n), _call_grouped


def _call_grouped(context, builder, signature, values):
    a, a0, a_row, b, b0, s, s0, c, c0, groups, height = values
    starts = zip((0, 3, 5, 7), (a, b, s, c), (a0, b0, s0, c0), strict=True)
    a, b, s, c = (position(context, builder, signature.args[i], *start) for i, *start in starts)
    arguments = a, a_row, b, s, c, groups, height
    takes = ir.FunctionType(ir.VoidType(), [x.type for x in arguments])
    name = f"autograd_multiply_grouped_{b.type.pointee}"
    function = cgutils.get_or_insert_function(builder.module, takes, name)
    if function.is_declaration:
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        _build_grouped(function, vector_of(context, signature.args[7]))
    builder.call(function, arguments)
    return context.get_dummy_value()


def _build_grouped(function, vector):
    *operands, c, groups, height = function.args
    index, builder = height.type, ir.IRBuilder(function.append_basic_block())
    no_such_tile = builder.append_basic_block()
    switch = builder.switch(height, no_such_tile)
    for h in HEIGHTS:
        block = builder.append_basic_block(f"tile_{h}")
        switch.add_case(index(h), block)
        builder.position_at_end(block)
        for i, row in enumerate(_sum_over_groups(builder, h, vector, *operands, groups)):
            for v, total in enumerate(row):
                store(builder, total, builder.gep(c, [index(i * WIDTH + v * vector.count)]))
        builder.ret_void()
    builder.position_at_end(no_such_tile)
    builder.unreachable()


def _sum_over_groups(builder, height, vector, a, a_row, b, s, groups):
    index, before = groups.type, builder.block
    loop, after = builder.append_basic_block("group"), builder.append_basic_block("sums")
    builder.branch(loop)
    builder.position_at_end(loop)
    g, a_g, b_g, s_g = (builder.phi(kind) for kind in (index, a.type, b.type, s.type))
    sums = [[builder.phi(vector) for _ in range(VECTORS)] for _ in range(height)]
    _prefetch(builder, s_g, 4 * WIDTH)
    steps = [index(v * vector.count) for v in range(2 * VECTORS)]
    numbers = [_halves(builder, builder.gep(s_g, [step]), vector) for step in steps]
    read = partial(_scaled, factors=(numbers[:VECTORS], numbers[VECTORS:]))
    new_sums = sum_over_k(builder, height, VECTORS, vector, a_g, a_row, index(1), b_g,
                          index(WIDTH), index(GROUP), read, multiply_add, sums)
    next_g = builder.add(g, index(1))
    variables = [(g, index(0), next_g)]
    for at, first, step in (a_g, a, GROUP), (b_g, b, GROUP * WIDTH), (s_g, s, 2 * WIDTH):
        variables.append((at, first, builder.gep(at, [index(step)])))
    for old_row, new_row in zip(sums, new_sums, strict=True):
        variables += [(old, vector(None), new) for old, new in zip(old_row, new_row, strict=True)]
    for variable, at_first, then in variables:
        variable.add_incoming(at_first, before)
        variable.add_incoming(then, builder.block)
    builder.cbranch(builder.icmp_signed("<", next_g, groups), loop, after)
    builder.position_at_end(after)
    return new_sums


if TILE == "plain":
    from autograd.kernels.plain_tile import multiply_grouped
    from autograd.kernels.plain_tile import multiply_tile as multiply_streamed
else:
    multiply_streamed, multiply_grouped = tile_of(read=_read_ahead), _multiply_grouped
