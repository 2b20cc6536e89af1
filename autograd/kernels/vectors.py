"""Vectors in LLVM's intermediate code, which Numba does not have.

`autograd.kernels.microkernel` and the tiles for different operands share these functions: they load
a vector from a flat array, whole or in part, and store it. A vector has `lanes` numbers; a mask
selects some of them.
"""

from llvmlite import ir
from numba.core import cgutils

from autograd.kernels.tiles import BYTES

INT32 = ir.IntType(32)


def vector_of(context, array_type):
    """Return the type of a vector of an array's numbers."""
    dtype = array_type.dtype
    return ir.VectorType(context.get_data_type(dtype), 8 * BYTES // dtype.bitwidth)


def position(context, builder, array_type, array, start):
    """Return a pointer to entry `start` of an array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [start])


def load_parts(builder, addresses, vector, whole, inside):
    """Load a vector from each address; unless `whole`, only its first `inside` lanes."""
    with builder.if_else(whole) as (then, otherwise):
        with then:
            complete = [load(builder, address, vector) for address in addresses]
            from_then = builder.block
        with otherwise:
            mask = first_lanes(builder, inside, vector.count)
            parts = [load(builder, address, vector, mask) for address in addresses]
            from_otherwise = builder.block
    loaded = [builder.phi(vector) for _ in addresses]
    for value, one, other in zip(loaded, complete, parts, strict=True):
        value.add_incoming(one, from_then)
        value.add_incoming(other, from_otherwise)
    return loaded


def load(builder, address, vector, mask=None, otherwise=None):
    address = builder.bitcast(address, vector.as_pointer())
    if mask is None:
        return builder.load(address, align=4)  # a vector may start at any entry of an array
    takes = [address.type, INT32, mask.type, vector]
    load = vector_function(builder.module, "masked.load", vector, vector, takes)
    return builder.call(load, [address, INT32(4), mask, otherwise or vector(ir.Undefined)])


def store(builder, value, address, mask=None):
    address = builder.bitcast(address, value.type.as_pointer())
    if mask is None:
        return builder.store(value, address, align=4)
    takes = [value.type, address.type, INT32, mask.type]
    store = vector_function(builder.module, "masked.store", value.type, ir.VoidType(), takes)
    return builder.call(store, [value, address, INT32(4), mask])


def copies(builder, scalar, lanes):
    nothing = ir.VectorType(scalar.type, lanes)(ir.Undefined)
    first = builder.insert_element(nothing, scalar, INT32(0))
    return builder.shuffle_vector(first, nothing, constants([0] * lanes))


def first_lanes(builder, count, lanes):
    """Return the mask of the first `count` lanes."""
    lane = ir.VectorType(count.type, lanes)(list(range(lanes)))
    return builder.icmp_signed("<", lane, copies(builder, count, lanes))


def constants(integers):
    return ir.VectorType(INT32, len(integers))(list(integers))


def vector_function(module, name, vector, returns, takes):
    """Return LLVM's function of this name for a type of vector."""
    dtype = {"float": "f32", "double": "f64", "i32": "i32"}[str(vector.element)]
    name = f"llvm.{name}.v{vector.count}{dtype}" + (".p0" if name != "fma" else "")
    return cgutils.get_or_insert_function(module, ir.FunctionType(returns, takes), name)
