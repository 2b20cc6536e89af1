"""Products of bfloat16 numbers in a tile, as vector instructions, and how numbers are rounded.

A bfloat16 is the upper half of a float32, and sums stay float32. So one instruction takes two k at
once: it adds to a sum of 32 bits the products of a pair of 16 bits from each operand. A pair is one
32-bit integer here, k in its lower half and k + 1 in its upper. Below, x is an array of float32, y
of pairs. The rest is as in `autograd.kernels.microkernel`.

multiply_pairs(...)
    As multiply_tile, with pairs in a and b: k counts these.
pair(low, high)
    Two float32 numbers as a pair: rounded to the nearest bfloat16, ties to an even last bit.
pair_panel_row(x, low0, high0, columns, y, y0)
    y[y0 + j] = the pair of x[low0 + j] and x[high0 + j]; y is written as by copy_panel_row.
pair_row(x, x0, count, y, y0)
    y[y0 + p] = the pair of x[x0 + 2p] and x[x0 + 2p + 1], for all `lanes` p, with 0 beyond `count`
    numbers.

LLVM's instruction takes vectors of `bfloat`, a type that llvmlite lacks, so it is declared here;
vectors of pairs are bitcast to it. On processors without the instruction a shift and a mask make
float32 numbers of the halves, for two multiply-adds.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from autograd.kernels.microkernel import multiply_add, tile_of
from autograd.kernels.tiles import BYTES, MULTIPLIES_BFLOAT16, VECTORS
from autograd.kernels.vectors import (
    INT32,
    constants,
    first_lanes,
    load,
    load_parts,
    position,
    store,
    vector_of,
)


class BFloat(ir.Type):
    """LLVM's type of 16 bits: the upper half of a float32."""

    def _to_string(self):
        return "bfloat"


BFLOAT = BFloat()  # one instance: llvmlite compares this type by identity


def _multiply_add_pairs(builder, a, b, c):
    if MULTIPLIES_BFLOAT16:
        halves = ir.VectorType(BFLOAT, 2 * a.type.count)
        arguments = c, builder.bitcast(a, halves), builder.bitcast(b, halves)
        return _call_bfloat16(builder, "dpbf16ps", c.type, arguments)
    for half in _lower_half, _upper_half:
        c = multiply_add(builder, half(builder, a, c.type), half(builder, b, c.type), c)
    return c


def _call_bfloat16(builder, name, returns, arguments):
    takes = ir.FunctionType(returns, [x.type for x in arguments])
    name = f"llvm.x86.avx512bf16.{name}.{8 * BYTES}"
    return builder.call(cgutils.get_or_insert_function(builder.module, takes, name), arguments)


def _lower_half(builder, pairs, vector):
    return builder.bitcast(builder.shl(pairs, _all(pairs.type, 16)), vector)


def _upper_half(builder, pairs, vector):
    return builder.bitcast(builder.and_(pairs, _all(pairs.type, 0xFFFF0000)), vector)


multiply_pairs = tile_of(multiply_add=_multiply_add_pairs)


@intrinsic
def pair(typing, low, high):
    def generate(context, builder, signature, values):
        return _pair(builder, *(builder.bitcast(x, INT32) for x in values))

    return types.uint32(types.float32, types.float32), generate


@intrinsic
def pair_panel_row(typing, x, low0, high0, columns, y, y0):
    def generate(context, builder, signature, values):
        x, low0, high0, columns, y, y0 = values
        x_type, y_type = signature.args[0], signature.args[4]
        vector, pairs = vector_of(context, x_type), vector_of(context, y_type)
        starts = [position(context, builder, x_type, x, start) for start in (low0, high0)]
        y_start = position(context, builder, y_type, y, y0)
        whole = builder.icmp_signed("==", columns, columns.type(VECTORS * vector.count))
        for v in range(VECTORS):
            step = columns.type(v * vector.count)
            addresses = [builder.gep(start, [step]) for start in starts]
            inside = builder.sub(columns, step)
            rows = load_parts(builder, addresses, vector, whole, inside)
            paired = _pairs_of_rows(builder, *rows, pairs)
            store(builder, paired, builder.gep(y_start, [step]))
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, n, y, n), generate


def _pairs_of_rows(builder, low, high, pairs):
    if not MULTIPLIES_BFLOAT16:
        return _pair(builder, builder.bitcast(low, pairs), builder.bitcast(high, pairs))
    halves = _halves(builder, low, high)
    lanes = pairs.count
    turns = constants([i // 2 + i % 2 * lanes for i in range(2 * lanes)])
    return builder.bitcast(builder.shuffle_vector(halves, halves, turns), pairs)


def _halves(builder, first, second):
    """Return the rounded numbers of two vectors, in a vector of 16-bit integers."""
    count = 2 * first.type.count
    # The instruction's first operand becomes the upper half.
    halves = _call_bfloat16(builder, "cvtne2ps2bf16", ir.VectorType(BFLOAT, count), [second, first])
    return builder.bitcast(halves, ir.VectorType(ir.IntType(16), count))


@intrinsic
def pair_row(typing, x, x0, count, y, y0):
    def generate(context, builder, signature, values):
        x, x0, count, y, y0 = values
        vector = vector_of(context, signature.args[0])
        lanes, pairs = vector.count, vector_of(context, signature.args[3])
        index = count.type
        start = position(context, builder, signature.args[0], x, x0)
        y_start = position(context, builder, signature.args[3], y, y0)
        loaded = []
        for v in range(2):
            mask = first_lanes(builder, builder.sub(count, index(v * lanes)), lanes)
            address = builder.gep(start, [index(v * lanes)])
            loaded.append(load(builder, address, vector, mask, vector(None)))
        if MULTIPLIES_BFLOAT16:
            paired = builder.bitcast(_halves(builder, *loaded), pairs)
        else:
            halves = [
                builder.shuffle_vector(*loaded, constants(range(i, 2 * lanes, 2)))
                for i in range(2)
            ]
            paired = _pair(builder, *(builder.bitcast(x, pairs) for x in halves))
        store(builder, paired, y_start)
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, y, n), generate


def _pair(builder, low, high):
    """Return a pair of integers that have the bits of float32 numbers, or pairs of vectors."""
    low, high = _rounded(builder, low), _rounded(builder, high)
    low = builder.lshr(low, _all(low.type, 16))
    return builder.or_(low, builder.and_(high, _all(high.type, 0xFFFF0000)))


def _all(type, value):
    """Return a constant, or a vector of it."""
    return type([value] * type.count) if isinstance(type, ir.VectorType) else type(value)


def _rounded(builder, bits):
    """Return the bits of a float32 with the upper half rounded; the caller cuts off the lower.

    Adding half of the upper half's last bit carries over where it has to be rounded up. One less is
    added where that bit is even, so that a tie stays. NaN is left out: it could become infinite.
    """
    half, one, sixteen = (_all(bits.type, i) for i in (0x7FFF, 1, 16))
    quiet, sign, infinity = (_all(bits.type, i) for i in (0x400000, 0x7FFFFFFF, 0x7F800000))
    odd = builder.and_(builder.lshr(bits, sixteen), one)
    nearest = builder.add(builder.add(bits, half), odd)
    quiet_nan = builder.or_(bits, quiet)
    is_nan = builder.icmp_unsigned(">", builder.and_(bits, sign), infinity)
    return builder.select(is_nan, quiet_nan, nearest)
