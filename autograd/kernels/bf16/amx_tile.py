"""A tile of c in the registers of AMX, which some of Intel's processors have: products of pairs of
bfloat16 in blocks.

    c (32, 32)  (+)=  a (32, depth)  times  b (depth, 32)

A register is 16 rows of 64 bytes: 16 by 16 sums, 16 rows of 16 pairs of a, or 16 pairs deep 16
columns of b. One instruction multiplies two of these and adds to the sums. Of the eight registers
four hold sums, two a and two b, so that four instructions follow four reads. The pairs of
`autograd.kernels.bf16.pair_tile` lie as there: a in rows, b in panels. LLVM's instructions take the
numbers of registers.

open_tiles(), close_tiles()
    Before the first tile of a thread, and after its last.
multiply_block(a, a0, a_row, b, b0, b_row, s, s0, s_row, c, c0, c_row, depth, add)
    c_ij becomes the sum over `depth` pairs, a multiple of SIDE, plus s_ij if `add`, as in
    `multiply_tile`. All 32 rows of a and 32 columns of b are read.
multiply_rows
    As `autograd.kernels.bf16.tile` says; a part of a block is computed in `room`.
Source: Intel, Architecture Instruction Set Extensions Programming Reference, chapter 3.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from autograd.kernels.compiler import helper
from autograd.kernels.vectors import position

SIDE = 16
TALL = 2 * SIDE  # rows of a block; it has as many columns
INT8, INT64 = ir.IntType(8), ir.IntType(64)
POINTER = INT8.as_pointer()
SUMS, OF_A, OF_B = ((0, 1), (2, 3)), (4, 5), (6, 7)  # the numbers of registers

# What LDTILECFG reads: palette 1, then the bytes of a row and the rows of each register.
_SHAPES = np.zeros(64, np.uint8)
_SHAPES[0] = 1
_SHAPES[16:32:2] = 64
_SHAPES[48:56] = SIDE


@helper
def open_tiles():
    _configure(_SHAPES)


@intrinsic
def _configure(typing, shapes):
    def generate(context, builder, signature, values):
        address = _address(context, builder, signature.args[0], values[0], INT64(0))
        _call(builder, "ldtilecfg", address)
        return context.get_dummy_value()

    return types.void(shapes), generate


@intrinsic
def close_tiles(typing):
    def generate(context, builder, signature, values):
        _call(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


@helper
def multiply_rows(
    a, a0, a_row, b, b0, s, s0, s_row, c, c0, c_row, depth, rows, columns, add, room
):
    for i in range(0, rows, TALL):
        a_i, s_i, c_i = a0 + i * a_row, s0 + i * s_row, c0 + i * c_row
        if rows - i >= TALL and columns == TALL:
            multiply_block(a, a_i, a_row, b, b0, TALL, s, s_i, s_row, c, c_i, c_row, depth, add)
        else:
            height = min(TALL, rows - i)
            if add:
                _copy_block(s, s_i, s_row, room, 0, TALL, height, columns)
            multiply_block(a, a_i, a_row, b, b0, TALL, room, 0, TALL, room, 0, TALL, depth, add)
            _copy_block(room, 0, TALL, c, c_i, c_row, height, columns)


@helper
def _copy_block(x, x0, x_row, y, y0, y_row, rows, columns):
    for i in range(rows):
        for j in range(columns):
            y[y0 + i * y_row + j] = x[x0 + i * x_row + j]


@intrinsic
def multiply_block(typing, a, a0, a_row, b, b0, b_row, s, s0, s_row, c, c0, c_row, depth, add):
    n = types.intp
    takes = types.void(a, n, n, b, n, n, s, n, n, c, n, n, n, types.boolean)
    return takes, _generate_block


def _generate_block(context, builder, signature, values):
    *matrices, depth, add = values
    starts, steps = [], []
    for i in range(0, 12, 3):
        array, start, row = matrices[i : i + 3]
        starts.append(_address(context, builder, signature.args[i], array, start))
        steps.append(builder.mul(row, INT64(4)))  # in bytes
    (a, b, s, c), (a_step, b_step, s_step, c_step) = starts, steps
    with builder.if_else(add) as (then, otherwise):
        with then:
            for register, address in _quarters(builder, s, s_step):
                _call(builder, "tileloadd64", register, address, s_step)
        with otherwise:
            for register, _ in _quarters(builder, s, s_step):
                _call(builder, "tilezero", register)
    with cgutils.for_range_slice(builder, INT64(0), depth, INT64(SIDE), INT64) as (k, _):
        a_k = builder.gep(a, [builder.mul(k, INT64(4))])
        b_k = builder.gep(b, [builder.mul(k, b_step)])
        below = builder.gep(a_k, [builder.mul(a_step, INT64(SIDE))])
        beside = builder.gep(b_k, [INT64(4 * SIDE)])
        for register, address in zip(OF_A, (a_k, below), strict=True):
            _call(builder, "tileloadd64", INT8(register), address, a_step)
        for register, address in zip(OF_B, (b_k, beside), strict=True):
            _call(builder, "tileloadd64", INT8(register), address, b_step)
        for i in range(2):
            for j in range(2):
                _call(builder, "tdpbf16ps", INT8(SUMS[i][j]), INT8(OF_A[i]), INT8(OF_B[j]))
    for register, address in _quarters(builder, c, c_step):
        _call(builder, "tilestored64", register, address, c_step)
    return context.get_dummy_value()


def _quarters(builder, start, step):
    """Yield the four registers of sums, and the address of each in a matrix."""
    for i in range(2):
        row = builder.gep(start, [builder.mul(step, INT64(SIDE * i))])
        for j in range(2):
            yield INT8(SUMS[i][j]), builder.gep(row, [INT64(4 * SIDE * j)])


def _address(context, builder, array_type, array, start):
    return builder.bitcast(position(context, builder, array_type, array, start), POINTER)


def _call(builder, name, *arguments):
    takes = ir.FunctionType(ir.VoidType(), [x.type for x in arguments])
    function = cgutils.get_or_insert_function(builder.module, takes, f"llvm.x86.{name}")
    builder.call(function, arguments)
