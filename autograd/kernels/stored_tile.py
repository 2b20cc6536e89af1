"""A tile of c whose b is a matrix of weights in memory, which may be quantized.

multiply_streamed(...)
    As multiply_tile of `autograd.kernels.microkernel`, where b is read from memory once: it is
    prefetched AHEAD bytes before it is needed. One core then reads 16 to 18 GB/s at any height,
    and without prefetching 13 for a single row and 9 for 8; of int8 15 instead of 11, and 9 instead
    of 3. If a and c are float32, b may be uint16, upper halves of float32 (bfloat16), or int8.
multiply_grouped(a, a0, a_row, t, t0, b, b0, s, s0, c, c0, groups, height, halves)
    c = a b for a tile that is whole, in float32, with b in int8. Each GROUP rows of b have a scale
    and an offset for each column, the bits of float16: `width` scales from s0 on, then as many
    offsets. A group's products with codes are added up, scaled once, and the offset is added times
    the sum of the group's entries of a, which t has: `groups` for each row, from t0 on. With
    `halves` a byte has two codes from 0 to 15: of row k and, in its upper half, k + GROUP / 2.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from autograd.kernels.microkernel import multiply_add, read_row, sum_over_k, tile_of
from autograd.kernels.tiles import BYTES, GROUP, HEIGHTS, LINE, VECTORS
from autograd.kernels.vectors import INT32, copies, load, position, store, vector_of

AHEAD = 4096
WIDTH = VECTORS * BYTES // 4
TOGETHER = 4 if BYTES == 64 else 2  # rows of the tallest tile that computes both halves at once
SIZES = {"i8": 1, "i16": 2, "float": 4}  # bytes


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


def _whole_bytes(builder, b, part, vector):
    """Return codes as float32: a row, or with `part` 1 the row GROUP / 2 after it."""
    start = builder.gep(b, [INT32(part * GROUP // 2 * WIDTH)])
    return _read_ahead(builder, start, VECTORS, vector)


def _half_bytes(builder, b, part, vector):
    """Return the lower halves of bytes as float32, or with `part` 1 the upper ones."""
    wide = ir.VectorType(INT32, vector.count)
    if part == 0:
        _prefetch(builder, b, WIDTH)
    codes = [builder.zext(row, wide) for row in read_row(builder, b, VECTORS, vector)]
    half, number = (builder.lshr, 4) if part else (builder.and_, 15)
    return [builder.sitofp(half(code, wide([number] * vector.count)), vector) for code in codes]


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
def multiply_grouped(typing, a, a0, a_row, t, t0, b, b0, s, s0, c, c0, groups, height, halves):
    n = types.intp
    return types.void(a, n, n, t, n, b, n, s, n, c, n, n, n, types.boolean), _call_grouped


def _call_grouped(context, builder, signature, values):
    a, a0, a_row, t, t0, b, b0, s, s0, c, c0, groups, height, halves = values
    starts = zip((0, 3, 5, 7, 9), (a, t, b, s, c), (a0, t0, b0, s0, c0), strict=True)
    a, t, b, s, c = (position(context, builder, signature.args[i], *start) for i, *start in starts)
    arguments = a, a_row, t, b, s, c, groups, height
    takes = ir.FunctionType(ir.VoidType(), [x.type for x in arguments])
    stored, reads = str(b.type.pointee), (_half_bytes, _whole_bytes)
    with builder.if_else(builder.trunc(halves, ir.IntType(1))) as branches:
        for branch, read in zip(branches, reads if stored == "i8" else reads[1:] * 2, strict=True):
            name = f"autograd_multiply_grouped{read.__name__}_{stored}"
            function = cgutils.get_or_insert_function(builder.module, takes, name)
            if function.is_declaration:
                function.linkage = "linkonce_odr"
                function.attributes.add("noinline")
                _build_grouped(function, vector_of(context, signature.args[9]), read)
            with branch:
                builder.call(function, arguments)
    return context.get_dummy_value()


def _build_grouped(function, vector, read):
    *operands, c, groups, height = function.args
    index, builder = height.type, ir.IRBuilder(function.append_basic_block())
    no_such_tile = builder.append_basic_block()
    switch = builder.switch(height, no_such_tile)
    for h in HEIGHTS:
        block = builder.append_basic_block(f"tile_{h}")
        switch.add_case(index(h), block)
        builder.position_at_end(block)
        for i, row in enumerate(_sum_over_groups(builder, h, vector, *operands, groups, read)):
            for v, total in enumerate(row):
                store(builder, total, builder.gep(c, [index(i * WIDTH + v * vector.count)]))
        builder.ret_void()
    builder.position_at_end(no_such_tile)
    builder.unreachable()


def _sum_over_groups(builder, height, vector, a, a_row, t, b, s, groups, read):
    index, before = groups.type, builder.block
    loop, after = builder.append_basic_block("group"), builder.append_basic_block("sums")
    builder.branch(loop)
    builder.position_at_end(loop)
    g, *starts = (builder.phi(x.type) for x in (groups, a, t, b, s))
    a_g, t_g, b_g, s_g = starts
    totals = [[builder.phi(vector) for _ in range(VECTORS)] for _ in range(height)]
    _prefetch(builder, s_g, 4 * WIDTH)
    sums = _group_sums(builder, height, vector, a_g, a_row, b_g, read)
    steps = [index(v * vector.count) for v in range(2 * VECTORS)]
    numbers = [_halves(builder, builder.gep(s_g, [step]), vector) for step in steps]
    scales, offsets = numbers[:VECTORS], numbers[VECTORS:]
    new_totals = []
    for i, (row, old) in enumerate(zip(sums, totals, strict=True)):
        of_a = builder.load(builder.gep(t_g, [builder.mul(groups, index(i))]))
        of_a = copies(builder, of_a, vector.count)
        added = [multiply_add(builder, of_a, *pair) for pair in zip(offsets, old, strict=True)]
        terms = zip(row, scales, added, strict=True)
        new_totals.append([multiply_add(builder, *term) for term in terms])
    next_g, codes = builder.add(g, index(1)), 2 if read is _half_bytes else 1
    sizes = zip(starts, (a, t, b, s), (GROUP, 1, GROUP * WIDTH // codes, 2 * WIDTH), strict=True)
    variables = [(x, first, builder.gep(x, [index(size)])) for x, first, size in sizes]
    variables.append((g, index(0), next_g))
    for old_row, new_row in zip(totals, new_totals, strict=True):
        variables += [(old, vector(None), new) for old, new in zip(old_row, new_row, strict=True)]
    for variable, at_first, then in variables:
        variable.add_incoming(at_first, before)
        variable.add_incoming(then, builder.block)
    builder.cbranch(builder.icmp_signed("<", next_g, groups), loop, after)
    builder.position_at_end(after)
    return new_totals


def _group_sums(builder, height, vector, a, a_row, b, read):
    """Return the sums of a group's products with codes: those of its two halves, added.

    A tile of few rows computes both at once, as an addition waits for the one before it. The sums
    of a tall one would not fit in the registers.
    """
    index, half = a_row.type, GROUP // 2
    halves = [(0, 1)] if height <= TOGETHER else [(0,), (1,)]
    found = []
    for parts in halves:
        def codes(builder, b, vectors, vector, parts=parts):
            return [row for part in parts for row in read(builder, b, part, vector)]

        start, apart = builder.gep(a, [index(parts[0] * half)]), half * (len(parts) - 1)
        rows = sum_over_k(
            builder, height, VECTORS * len(parts), vector, start, a_row, index(1), b, index(WIDTH),
            index(half), codes, multiply_add, apart,
        )
        found += [[row[i * VECTORS : (i + 1) * VECTORS] for row in rows] for i in range(len(parts))]
    return [[builder.fadd(*pair) for pair in zip(*rows, strict=True)]
            for rows in zip(*found, strict=True)]


multiply_streamed = tile_of(read=_read_ahead)
