"""The innermost step of a matrix product, as vector instructions: a tile of c held in registers.

    c (height, columns)  (+)=  a (height, depth)  times  b (depth, columns)

A core multiplies and adds two vectors in a cycle, but reads and writes memory more slowly. So the
tile, up to ROWS rows of VECTORS vectors, stays in registers while k runs over the depth:

    for each k:
        read VECTORS vectors of b
        for each row i:
            fill a vector with copies of a_ik, multiply it with each vector of b, and add the
            products to the VECTORS sums of this row

which is ROWS + VECTORS reads for ROWS VECTORS multiply-adds, and no write. Numba has no vectors
and LLVM's vectoriser does not find this arrangement, so the functions here build LLVM's
intermediate code themselves; no other file does. They are called from compiled code, with flat
arrays and positions in them. A vector has `lanes` entries, a full tile `width` columns.

multiply_tile(a, a0, a_row, a_col, b, b0, b_row, s, s0, s_row, c, c0, c_row,
              depth, height, columns, add)
    The step above; a_ik is a[a0 + i a_row + k a_col], b_kj is b[b0 + k b_row + j], c_ij is
    c[c0 + i c_row + j]. `height` is one of HEIGHTS, `columns` at most `width`. c_ij becomes the
    sum over k, plus s[s0 + i s_row + j] if `add`. Rows of b are read to the end of a vector.
    Where a and c are float32, b may be uint16, the upper halves of float32 (bfloat16), or int8.
multiply_streamed(...)
    The same where b comes from memory, once: it is asked for AHEAD bytes before it is needed. One
    core then reads 16 to 18 GB/s, whatever the height, where it read 13 for a single row and 9 for
    8; bytes of int8, 15 for 11, and 9 for 3.
copy_panel_row(x, x0, columns, y, y0)
    y[y0 + j] = x[x0 + j]; y is written for `width` columns, with anything beyond the last.
stream_row(x, x0, y, y0), finish_streams()
    y[y0 + j] = x[x0 + j] for `width` columns, past the caches: a line of memory that is written
    whole need not be read first, which takes a third of the time where it is in no cache. y[y0]
    begins a line. A thread finishes its streams before another may read them.
transpose_block(x, x0, x_row, rows, columns, y, y0, y_row)
    y[y0 + j y_row + i] = x[x0 + i x_row + j] for at most `lanes` rows and columns, turned in
    registers; y is written for all `lanes` of both, with anything beyond the last.

Products of bfloat16
--------------------
A bfloat16 is the upper half of a float32, and sums stay float32, so that the instruction for them
takes two k at once: a sum of 32 bits with a pair of 16 bits from each operand. A pair is one
32-bit integer here, k in its lower half and k + 1 in its upper. Where a and b of `multiply_tile`
are arrays of uint32, they hold such pairs, and k counts these; all else is as above.

pair(low, high)
    Two float32 numbers as a pair: rounded to the nearest bfloat16, ties to an even last bit.
pair_panel_row(x, low0, high0, columns, y, y0)
    y[y0 + j] = the pair of x[low0 + j] and x[high0 + j]; y is written as by copy_panel_row.
pair_row(x, x0, count, y, y0)
    y[y0 + p] = the pair of x[x0 + 2p] and x[x0 + 2p + 1], for all `lanes` p, with 0 beyond `count`
    numbers.
lower(pair), upper(pair)
    Its numbers, as float32.

LLVM's instruction takes vectors of `bfloat`, a type that llvmlite does not have, so it is declared
here; values become it by a bitcast of vectors of pairs. On processors without the instruction
the halves become float32 numbers by a shift and by a mask, and two multiply-adds take them.

pointer(address, like)
    The integer `address` as a pointer to elements of the dtype of `like`, for numba.carray.

`autograd.kernels.tiles` has the sizes; for processors without any there, `plain_tile` has the
first three functions as loops.
"""

from functools import partial

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from autograd.kernels.tiles import BYTES, HEIGHTS, MULTIPLIES_BFLOAT16, ROWS, VECTORS

INT32 = ir.IntType(32)


class BFloat(ir.Type):
    """LLVM's type of 16 bits, the upper half of a float32."""

    def _to_string(self):
        return "bfloat"


BFLOAT = BFloat()  # llvmlite compares types by what they are, and this one by which

SIZES = {"i8": 1, "i16": 2, "float": 4, "double": 8}  # bytes
LINE, AHEAD = 64, 4096  # bytes of a line of memory, and how far ahead one is asked for


@intrinsic
def multiply_tile(
    typing, a, a0, a_row, a_col, b, b0, b_row, s, s0, s_row, c, c0, c_row,
    depth, height, columns, add,
):  # fmt: skip
    return _tile_signature(a, b, s, c), _call_tile


@intrinsic
def multiply_streamed(
    typing, a, a0, a_row, a_col, b, b0, b_row, s, s0, s_row, c, c0, c_row,
    depth, height, columns, add,
):  # fmt: skip
    return _tile_signature(a, b, s, c), partial(_call_tile, ahead=AHEAD)


def _tile_signature(a, b, s, c):
    n = types.intp
    return types.void(a, n, n, n, b, n, n, s, n, n, c, n, n, n, n, n, types.boolean)


def _call_tile(context, builder, signature, values, ahead=0):
    a, a0, a_row, a_col, b, b0, b_row, s, s0, s_row, c, c0, c_row, *rest = values
    a_type, b_type, c_type = (signature.args[i] for i in (0, 4, 7))
    starts = (a_type, a, a0), (b_type, b, b0), (c_type, s, s0), (c_type, c, c0)
    a, b, s, c = (_pointer(context, builder, *start) for start in starts)
    arguments = (a, a_row, a_col, b, b_row, s, s_row, c, c_row, *rest)
    vector, kinds = _vector(context, c_type), [x.type for x in arguments]
    b_vector = ir.VectorType(context.get_data_type(b_type.dtype), vector.count)
    builder.call(_tile_function(builder.module, b_vector, vector, kinds, ahead), arguments)
    return context.get_dummy_value()


def _tile_function(module, b_vector, vector, argument_types, ahead):
    """One function for each element type, which branches to the tile of the size asked for.

    Not inlined: how well LLVM fills the registers must not depend on what is around the call.
    """
    signature = ir.FunctionType(ir.VoidType(), argument_types)
    name = f"autograd_multiply_tile_{b_vector.element}_{vector.element}_{ahead}"
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
    mask = _first_lanes(builder, in_last, lanes)
    no_such_tile = builder.append_basic_block()
    size = builder.add(builder.mul(last, index(ROWS + 1)), height)
    switch = builder.switch(size, no_such_tile)
    for v in range(VECTORS):
        for h in HEIGHTS:
            block = builder.append_basic_block(f"tile_{h}x{v + 1}")
            switch.add_case(index(v * (ROWS + 1) + h), block)
            builder.position_at_end(block)
            sums = _sum_over_k(builder, h, v + 1, b_vector, vector, *a_and_b, depth, ahead)
            _write_tile(builder, sums, s, s_row, c, c_row, add, whole, mask)
            builder.ret_void()
    builder.position_at_end(no_such_tile)
    builder.unreachable()
    return function


def _sum_over_k(
    builder, height, vectors, b_vector, vector, a, a_row, a_col, b, b_row, depth, ahead
):
    """The loop: the sums of the tile, a list of vectors for each row."""
    index, lanes = depth.type, vector.count
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
    b_k_vectors = [
        _load(builder, builder.gep(b_k, [index(v * lanes)]), b_vector) for v in range(vectors)
    ]
    if ahead:
        _prefetch(builder, b_k, ahead, vectors * lanes * SIZES[str(b_vector.element)])
    b_k_vectors = [_widened(builder, b_kj, vector) for b_kj in b_k_vectors]
    new_sums = []
    for row, old_sums in zip(rows, sums, strict=True):
        a_ik = _copies(builder, builder.load(builder.gep(a_k, [row])), lanes)
        terms = zip(b_k_vectors, old_sums, strict=True)
        new_sums.append([_multiply_add(builder, a_ik, b_kj, old) for b_kj, old in terms])
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


def _multiply_add(builder, a, b, c):
    """a b + c for vectors of numbers, or of pairs in a and b."""
    if a.type == c.type:
        return builder.call(_llvm(builder.module, "fma", c.type, c.type, [c.type] * 3), [a, b, c])
    if MULTIPLIES_BFLOAT16:
        halves = ir.VectorType(BFLOAT, 2 * a.type.count)
        takes = ir.FunctionType(c.type, [c.type, halves, halves])
        name = f"llvm.x86.avx512bf16.dpbf16ps.{8 * BYTES}"
        dot = cgutils.get_or_insert_function(builder.module, takes, name)
        return builder.call(dot, [c, builder.bitcast(a, halves), builder.bitcast(b, halves)])
    for half in _lower_half, _upper_half:
        c = _multiply_add(builder, half(builder, a, c.type), half(builder, b, c.type), c)
    return c


def _lower_half(builder, pairs, floats):
    return builder.bitcast(builder.shl(pairs, _all(pairs.type, 16)), floats)


def _upper_half(builder, pairs, floats):
    return builder.bitcast(builder.and_(pairs, _all(pairs.type, 0xFFFF0000)), floats)
def _prefetch(builder, start, ahead, size):
    """Have the L2 cache read `size` bytes from `ahead` behind `start` on; they may not exist."""
    byte = ir.IntType(8)
    start = builder.bitcast(start, byte.as_pointer())
    takes = ir.FunctionType(ir.VoidType(), [start.type, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(builder.module, takes, "llvm.prefetch.p0")
    for line in range(0, size, LINE):
        address = builder.gep(start, [ir.IntType(64)(ahead + line)])
        builder.call(function, [address, INT32(0), INT32(2), INT32(1)])  # to read, in L2, data


def _widened(builder, b, vector):
    """A vector of what may be stored in fewer bytes than a float32."""
    stored, wide = str(b.type.element), ir.VectorType(INT32, vector.count)
    if stored == "i16":  # the upper half of a float32
        return _lower_half(builder, builder.zext(b, wide), vector)
    return builder.sitofp(builder.sext(b, wide), vector) if stored == "i8" else b


def _write_tile(builder, sums, s, s_row, c, c_row, add, whole, mask):
    """Only lanes in `mask` of the last vector of a row are read and written, if not `whole`."""
    index, vector, lanes = c_row.type, sums[0][0].type, sums[0][0].type.count

    def address(start, step, i, v):
        return builder.gep(start, [builder.add(builder.mul(step, index(i)), index(v * lanes))])

    with builder.if_else(builder.and_(whole, builder.not_(add))) as (replace, otherwise):
        for branch, masked in (replace, False), (otherwise, True):
            with branch:
                for i, row in enumerate(sums):
                    for v, total in enumerate(row):
                        inside = mask if masked and total is row[-1] else None
                        if masked:
                            old = _load(builder, address(s, s_row, i, v), vector, inside)
                            total = builder.fadd(total, builder.select(add, old, vector(None)))
                        _store(builder, total, address(c, c_row, i, v), inside)


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
        vector, pairs = _vector(context, x_type), _vector(context, y_type)
        starts = [_pointer(context, builder, x_type, x, start) for start in (low0, high0)]
        y_start = _pointer(context, builder, y_type, y, y0)
        whole = builder.icmp_signed("==", columns, columns.type(VECTORS * vector.count))
        for v in range(VECTORS):
            step = columns.type(v * vector.count)
            addresses = [builder.gep(start, [step]) for start in starts]
            inside = builder.sub(columns, step)
            rows = _load_parts(builder, addresses, vector, whole, inside)
            paired = _pairs_of_rows(builder, *rows, pairs)
            _store(builder, paired, builder.gep(y_start, [step]))
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, n, y, n), generate


def _pairs_of_rows(builder, low, high, pairs):
    if not MULTIPLIES_BFLOAT16:
        return _pair(builder, builder.bitcast(low, pairs), builder.bitcast(high, pairs))
    halves = _halves(builder, low, high)
    lanes = pairs.count
    turns = _constants([i // 2 + i % 2 * lanes for i in range(2 * lanes)])
    return builder.bitcast(builder.shuffle_vector(halves, halves, turns), pairs)


def _halves(builder, first, second):
    """The numbers of two vectors, rounded, in a vector of 16-bit integers."""
    takes = ir.FunctionType(ir.VectorType(BFLOAT, 2 * first.type.count), [first.type] * 2)
    name = f"llvm.x86.avx512bf16.cvtne2ps2bf16.{8 * BYTES}"
    convert = cgutils.get_or_insert_function(builder.module, takes, name)
    integers = ir.VectorType(ir.IntType(16), 2 * first.type.count)
    return builder.bitcast(builder.call(convert, [second, first]), integers)


@intrinsic
def pair_row(typing, x, x0, count, y, y0):
    def generate(context, builder, signature, values):
        x, x0, count, y, y0 = values
        vector = _vector(context, signature.args[0])
        lanes, pairs = vector.count, _vector(context, signature.args[3])
        index = count.type
        start = _pointer(context, builder, signature.args[0], x, x0)
        y_start = _pointer(context, builder, signature.args[3], y, y0)
        loaded = []
        for v in range(2):
            mask = _first_lanes(builder, builder.sub(count, index(v * lanes)), lanes)
            address = builder.gep(start, [index(v * lanes)])
            loaded.append(_load(builder, address, vector, mask, vector(None)))
        if MULTIPLIES_BFLOAT16:
            paired = builder.bitcast(_halves(builder, *loaded), pairs)
        else:
            halves = [
                builder.shuffle_vector(*loaded, _constants(range(i, 2 * lanes, 2)))
                for i in range(2)
            ]
            paired = _pair(builder, *(builder.bitcast(x, pairs) for x in halves))
        _store(builder, paired, y_start)
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, y, n), generate


def _pair(builder, low, high):
    """Of integers with the bits of float32 numbers, or of vectors of them."""
    low, high = _rounded(builder, low), _rounded(builder, high)
    low = builder.lshr(low, _all(low.type, 16))
    return builder.or_(low, builder.and_(high, _all(high.type, 0xFFFF0000)))


def _all(type, value):
    """A constant, or a vector of it."""
    return type([value] * type.count) if isinstance(type, ir.VectorType) else type(value)


@intrinsic
def lower(typing, pair):
    def generate(context, builder, signature, values):
        return _lower_half(builder, values[0], ir.FloatType())

    return types.float32(types.uint32), generate


@intrinsic
def upper(typing, pair):
    def generate(context, builder, signature, values):
        return _upper_half(builder, values[0], ir.FloatType())

    return types.float32(types.uint32), generate


def _rounded(builder, bits):
    """The bits of a float32, the upper half rounded; the lower is to be cut off. Also of vectors.

    Adding half of the last bit of the upper half carries over where it is to be rounded up; one
    less where that bit is even, so that a tie stays. Not for NaN, which could become infinite.
    """
    half, one, sixteen = (_all(bits.type, i) for i in (0x7FFF, 1, 16))
    quiet, sign, infinity = (_all(bits.type, i) for i in (0x400000, 0x7FFFFFFF, 0x7F800000))
    odd = builder.and_(builder.lshr(bits, sixteen), one)
    nearest = builder.add(builder.add(bits, half), odd)
    quiet_nan = builder.or_(bits, quiet)
    is_nan = builder.icmp_unsigned(">", builder.and_(bits, sign), infinity)
    return builder.select(is_nan, quiet_nan, nearest)


@intrinsic
def copy_panel_row(typing, x, x0, columns, y, y0):
    def generate(context, builder, signature, values):
        x, x0, columns, y, y0 = values
        vector = _vector(context, signature.args[0])
        x_start = _pointer(context, builder, signature.args[0], x, x0)
        y_start = _pointer(context, builder, signature.args[3], y, y0)
        whole = builder.icmp_signed("==", columns, columns.type(VECTORS * vector.count))
        for v in range(VECTORS):
            step = columns.type(v * vector.count)
            inside = builder.sub(columns, step)
            row = _load_parts(builder, [builder.gep(x_start, [step])], vector, whole, inside)
            _store(builder, *row, builder.gep(y_start, [step]))
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, y, types.intp), generate


@intrinsic
def stream_row(typing, x, x0, y, y0):
    def generate(context, builder, signature, values):
        x, x0, y, y0 = values
        vector = _vector(context, signature.args[0])
        x_start = _pointer(context, builder, signature.args[0], x, x0)
        y_start = _pointer(context, builder, signature.args[2], y, y0)
        for v in range(VECTORS):
            step = x0.type(v * vector.count)
            row = _load(builder, builder.gep(x_start, [step]), vector)
            address = builder.bitcast(builder.gep(y_start, [step]), vector.as_pointer())
            store = builder.store(row, address, align=BYTES)
            store.set_metadata("nontemporal", builder.module.add_metadata([INT32(1)]))
        return context.get_dummy_value()

    return types.void(x, types.intp, y, types.intp), generate


@intrinsic
def finish_streams(typing):
    def generate(context, builder, signature, values):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def transpose_block(typing, x, x0, x_row, rows, columns, y, y0, y_row):
    def generate(context, builder, signature, values):
        x, x0, x_row, rows, columns, y, y0, y_row = values
        vector = _vector(context, signature.args[0])
        x_start = _pointer(context, builder, signature.args[0], x, x0)
        y_start = _pointer(context, builder, signature.args[5], y, y0)
        index = rows.type
        last = builder.sub(rows, index(1))
        addresses = []
        for i in map(index, range(vector.count)):  # below the last row, the last once more
            row = builder.select(builder.icmp_signed("<", i, last), i, last)
            addresses.append(builder.gep(x_start, [builder.mul(x_row, row)]))
        whole = builder.icmp_signed("==", columns, index(vector.count))
        block = _load_parts(builder, addresses, vector, whole, columns)
        for i, column in enumerate(_transpose(builder, block)):
            _store(builder, column, builder.gep(y_start, [builder.mul(y_row, index(i))]))
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, n, n, y, n, n), generate


def _transpose(builder, rows):
    """A square of vectors: swap its off-diagonal quarters, then those of every quarter."""
    lanes = len(rows)
    half = lanes // 2
    while half:
        # Lane numbers from `lanes` on mean the second vector of a pair.
        low = _constants([i if not i & half else lanes + i - half for i in range(lanes)])
        high = _constants([i + half if not i & half else lanes + i for i in range(lanes)])
        swapped = list(rows)
        for i in range(lanes):
            if not i & half:
                swapped[i] = builder.shuffle_vector(rows[i], rows[i + half], low)
                swapped[i + half] = builder.shuffle_vector(rows[i], rows[i + half], high)
        rows = swapped
        half //= 2
    return rows


def _load_parts(builder, addresses, vector, whole, inside):
    """A vector from each address; unless `whole`, only its first `inside` lanes are read."""
    with builder.if_else(whole) as (then, otherwise):
        with then:
            complete = [_load(builder, address, vector) for address in addresses]
            from_then = builder.block
        with otherwise:
            mask = _first_lanes(builder, inside, vector.count)
            parts = [_load(builder, address, vector, mask) for address in addresses]
            from_otherwise = builder.block
    loaded = [builder.phi(vector) for _ in addresses]
    for value, one, other in zip(loaded, complete, parts, strict=True):
        value.add_incoming(one, from_then)
        value.add_incoming(other, from_otherwise)
    return loaded


def _vector(context, array_type):
    dtype = array_type.dtype
    return ir.VectorType(context.get_data_type(dtype), 8 * BYTES // dtype.bitwidth)


def _pointer(context, builder, array_type, array, start):
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [start])


def _load(builder, address, vector, mask=None, otherwise=None):
    address = builder.bitcast(address, vector.as_pointer())
    if mask is None:
        return builder.load(address, align=4)  # a vector may start at any entry of an array
    takes = [address.type, INT32, mask.type, vector]
    load = _llvm(builder.module, "masked.load", vector, vector, takes)
    return builder.call(load, [address, INT32(4), mask, otherwise or vector(ir.Undefined)])


def _store(builder, value, address, mask=None):
    address = builder.bitcast(address, value.type.as_pointer())
    if mask is None:
        return builder.store(value, address, align=4)
    takes = [value.type, address.type, INT32, mask.type]
    store = _llvm(builder.module, "masked.store", value.type, ir.VoidType(), takes)
    return builder.call(store, [value, address, INT32(4), mask])


def _copies(builder, scalar, lanes):
    nothing = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(nothing, scalar, INT32(0))
    return builder.shuffle_vector(first, nothing, _constants([0] * lanes))


def _first_lanes(builder, count, lanes):
    """The mask of the first `count` lanes."""
    lane = ir.Constant(ir.VectorType(count.type, lanes), list(range(lanes)))
    return builder.icmp_signed("<", lane, _copies(builder, count, lanes))


def _constants(integers):
    return ir.Constant(ir.VectorType(INT32, len(integers)), list(integers))


def _llvm(module, name, vector, returns, takes):
    """LLVM's function of this name for a type of vector."""
    dtype = {"float": "f32", "double": "f64", "i32": "i32"}[str(vector.element)]
    name = f"llvm.{name}.v{vector.count}{dtype}" + (".p0" if name != "fma" else "")
    return cgutils.get_or_insert_function(module, ir.FunctionType(returns, takes), name)


@intrinsic
def pointer(typing, address, like):
    def generate(context, builder, signature, values):
        return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.int64, like), generate
