"""The innermost step of a matrix product, as vector instructions: one tile of c held in registers.

    c (rows, columns)  (+)=  a (rows, depth)  times  b (depth, columns)

A core multiplies and adds two vectors in a cycle, but reads and writes memory more slowly. So the
tile, ROWS x VECTORS vectors, never leaves the registers while k runs over the depth. For each k:

    read VECTORS vectors of b
    for each row i: fill a vector with copies of a_ik (one read), multiply it with each vector of
    b, add to the VECTORS accumulators of the row

which is ROWS + VECTORS reads for ROWS VECTORS multiply-adds, and no write. Numba offers no vectors
in registers, and LLVM's vectoriser does not find this arrangement; so the functions here build
LLVM's intermediate code themselves. This is the only file that does. Three functions result,
called from compiled code with flat arrays and places in them:

    multiply_tile     the step above
    copy_panel_row    columns next to each other, from a matrix to a panel of b
    transpose_block   the same from b^T: as many rows as a vector has lanes, turned in registers

`TILES` has the sizes. A tile uses nearly all vector registers of its instruction set (32 of 64
bytes in AVX-512, 16 of 32 bytes in AVX2, 32 of 16 bytes in NEON). On any other processor the same
three functions are plain loops. `AUTOGRAD_TILE` overrides the choice: a tile wider than the
processor's own registers still gives the right result.
"""

import os
import platform

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from autograd.kernels.compiler import helper

# rows, vectors in a row, bytes in a vector
TILES = {"avx512": (14, 2, 64), "avx2": (6, 2, 32), "neon": (8, 3, 16), "plain": (4, 1, 64)}


def _best_tile():
    """The widest instruction set of this processor that has a multiply-add."""
    if platform.machine().lower() in {"arm64", "aarch64"}:
        return "neon"
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return "avx512"
    return "avx2" if features.get("avx2") and features.get("fma") else "plain"


TILE = os.environ.get("AUTOGRAD_TILE") or _best_tile()
if TILE not in TILES:
    raise ValueError(f"AUTOGRAD_TILE={TILE!r} is unknown; use one of: {', '.join(TILES)}")
ROWS, VECTORS, BYTES = TILES[TILE]
# A row count is split into these: at the lower edge of c no row is computed in vain.
HEIGHTS = (ROWS, *(h for h in (8, 4, 2, 1) if h < ROWS))


@intrinsic
def _multiply_tile(typing, a, a0, a_row, a_col, b, b0, c, c0, c_row, depth, height, vectors, add):
    def generate(context, builder, signature, values):
        a, a0, a_row, a_col, b, b0, c, c0, c_row, depth, height, vectors, add = values
        vector = _vector(context, signature.args[0])
        arguments = (
            _pointer(context, builder, signature.args[0], a, a0), a_row, a_col,
            _pointer(context, builder, signature.args[4], b, b0),
            _pointer(context, builder, signature.args[6], c, c0), c_row,
            depth, height, vectors, add,
        )
        function = _tile_function(builder.module, vector, [x.type for x in arguments])
        builder.call(function, arguments)
        return context.get_dummy_value()

    n = types.intp
    return types.void(a, n, n, n, b, n, c, n, n, n, n, n, types.boolean), generate


def _tile_function(module, vector, argument_types):
    """One function for each element type, which branches to the tile of the size asked for.

    Not inlined: how well LLVM fills the registers must not depend on what is around the call.
    """
    function = cgutils.get_or_insert_function(
        module,
        ir.FunctionType(ir.VoidType(), argument_types),
        f"autograd_multiply_tile_{vector.element}",
    )
    if not function.is_declaration:
        return function
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    *operands, height, vectors, add = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    index = height.type
    unknown = builder.append_basic_block()
    size = builder.add(builder.mul(vectors, index(ROWS + 1)), height)
    switch = builder.switch(size, unknown)
    for v in range(1, VECTORS + 1):
        for h in HEIGHTS:
            block = builder.append_basic_block(f"tile_{h}x{v}")
            switch.add_case(index(v * (ROWS + 1) + h), block)
            builder.position_at_end(block)
            _tile(builder, h, v, vector, *operands, add)
    builder.position_at_end(unknown)
    builder.unreachable()
    return function


def _tile(builder, height, vectors, vector, a, a_row, a_col, b, c, c_row, depth, add):
    """The loop over k of a tile of `height` x `vectors` vectors."""
    index, lanes = depth.type, vector.count
    before = builder.block
    loop = builder.append_basic_block("k")
    tile = [(i, v) for i in range(height) for v in range(vectors)]
    a_rows = [builder.mul(a_row, index(i)) for i in range(height)]
    builder.branch(loop)

    builder.position_at_end(loop)
    k, a_k, b_k = builder.phi(index), builder.phi(a.type), builder.phi(b.type)
    sums = [builder.phi(vector) for _ in tile]
    b_vectors = [
        _load(builder, builder.gep(b_k, [index(v * lanes)]), vector) for v in range(vectors)
    ]
    a_vectors = [_broadcast(builder, builder.gep(a_k, [row]), vector) for row in a_rows]
    fma = _fma(builder.module, vector)
    new_sums = [
        builder.call(fma, [a_vectors[i], b_vectors[v], old])
        for (i, v), old in zip(tile, sums, strict=True)
    ]
    next_k = builder.add(k, index(1))
    next_b = builder.gep(b_k, [index(VECTORS * lanes)])
    after = builder.append_basic_block("after")
    zero = ir.Constant(vector, [0.0] * lanes)
    for variable, first, following in [
        (k, index(0), next_k),
        (a_k, a, builder.gep(a_k, [a_col])),
        (b_k, b, next_b),
        *[(old, zero, new) for old, new in zip(sums, new_sums, strict=True)],
    ]:
        variable.add_incoming(first, before)
        variable.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", next_k, depth), loop, after)

    builder.position_at_end(after)
    places = [
        builder.gep(c, [builder.add(builder.mul(c_row, index(i)), index(v * lanes))])
        for i, v in tile
    ]
    with builder.if_else(add) as (add_to_c, replace_c):
        with add_to_c:
            for place, total in zip(places, new_sums, strict=True):
                _store(builder, builder.fadd(_load(builder, place, vector), total), place)
        with replace_c:
            for place, total in zip(places, new_sums, strict=True):
                _store(builder, total, place)
    builder.ret_void()


@intrinsic
def _copy_panel_row(typing, x, x0, y, y0):
    def generate(context, builder, signature, values):
        x, x0, y, y0 = values
        vector = _vector(context, signature.args[0])
        x_start = _pointer(context, builder, signature.args[0], x, x0)
        y_start = _pointer(context, builder, signature.args[2], y, y0)
        for v in range(VECTORS):
            step = [x0.type(v * vector.count)]
            row = _load(builder, builder.gep(x_start, step), vector)
            _store(builder, row, builder.gep(y_start, step))
        return context.get_dummy_value()

    return types.void(x, types.intp, y, types.intp), generate


@intrinsic
def _transpose_block(typing, x, x0, x_row, count, y, y0, y_row):
    def generate(context, builder, signature, values):
        x, x0, x_row, count, y, y0, y_row = values
        vector = _vector(context, signature.args[0])
        x_start = _pointer(context, builder, signature.args[0], x, x0)
        y_start = _pointer(context, builder, signature.args[4], y, y0)
        last = builder.sub(count, count.type(1))
        rows = []
        for i in map(count.type, range(vector.count)):
            row = builder.select(builder.icmp_signed("<", i, last), i, last)
            rows.append(_load(builder, builder.gep(x_start, [builder.mul(x_row, row)]), vector))
        for i, column in enumerate(_transpose(builder, rows)):
            _store(builder, column, builder.gep(y_start, [builder.mul(y_row, y_row.type(i))]))
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, n, y, n, n), generate


def _transpose(builder, rows):
    """A square of vectors: swap its off-diagonal quarters, then those of every quarter."""
    lanes = len(rows)
    half = lanes // 2
    while half:
        # Lane numbers from `lanes` on mean the second vector of a pair.
        low = [i if not i & half else lanes + i - half for i in range(lanes)]
        high = [i + half if not i & half else lanes + i for i in range(lanes)]
        swapped = list(rows)
        for i in range(lanes):
            if not i & half:
                pair = rows[i], rows[i + half]
                swapped[i] = builder.shuffle_vector(*pair, _lanes(low))
                swapped[i + half] = builder.shuffle_vector(*pair, _lanes(high))
        rows = swapped
        half //= 2
    return rows


def _vector(context, array_type):
    number = array_type.dtype
    return ir.VectorType(context.get_data_type(number), BYTES * 8 // number.bitwidth)


def _pointer(context, builder, array_type, array, start):
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [start])


def _load(builder, place, vector):
    value = builder.load(builder.bitcast(place, vector.as_pointer()))
    value.align = 4  # of the array's elements: a vector may start at any of them
    return value


def _store(builder, value, place):
    builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=4)


def _broadcast(builder, place, vector):
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, builder.load(place), ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, _lanes([0] * vector.count))


def _lanes(numbers):
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)


def _fma(module, vector):
    bits = 32 if isinstance(vector.element, ir.FloatType) else 64
    kind = ir.FunctionType(vector, [vector] * 3)
    return cgutils.get_or_insert_function(module, kind, f"llvm.fma.v{vector.count}f{bits}")


@helper
def _plain_multiply_tile(a, a0, a_row, a_col, b, b0, c, c0, c_row, depth, height, vectors, add):
    width = VECTORS * (BYTES // c.itemsize)
    for i in range(height):
        row = c[c0 + i * c_row : c0 + i * c_row + width]
        if not add:
            row[:] = 0
        for k in range(depth):
            a_ik = a[a0 + i * a_row + k * a_col]
            b_k = b[b0 + k * width : b0 + k * width + width]
            for j in range(width):
                row[j] += a_ik * b_k[j]


@helper
def _plain_copy_panel_row(x, x0, y, y0):
    for j in range(VECTORS * (BYTES // x.itemsize)):
        y[y0 + j] = x[x0 + j]


@helper
def _plain_transpose_block(x, x0, x_row, count, y, y0, y_row):
    for i in range(count):
        for j in range(BYTES // x.itemsize):
            y[y0 + j * y_row + i] = x[x0 + i * x_row + j]


if TILE == "plain":
    multiply_tile = _plain_multiply_tile
    copy_panel_row = _plain_copy_panel_row
    transpose_block = _plain_transpose_block
else:
    multiply_tile = _multiply_tile
    copy_panel_row = _copy_panel_row
    transpose_block = _transpose_block
