"""Windows of long arrays, for compiled code: what a slice is, in the few instructions that are left without checks.

The table of a hierarchy is read in so many places that slices would take longer to compile than all loops.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

__all__ = ["as_bytes", "as_signed", "rows_window", "vector", "window"]


def _narrow(
    context: Any, builder: Any, kind: types.Array, long_kind: types.Array, long: Any, begin: Any, shape: list[Any]
) -> Any:
    """A contiguous array of this kind and shape, of the memory of a ``long`` one from an entry on."""
    given = make_array(long_kind)(context, builder, long)
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    strides = [size]
    for length in shape[:0:-1]:
        strides.insert(0, builder.mul(strides[0], length))
    made = make_array(kind)(context, builder)
    populate_array(
        made,
        data=builder.bitcast(builder.gep(given.data, [begin]), made.data.type),
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides),
        itemsize=size,
        meminfo=given.meminfo,
        parent=given.parent,
    )
    context.nrt.incref(builder, kind, made._getvalue())
    return made._getvalue()


@intrinsic
def window(typing: Any, array: types.Array, begin: types.Integer, count: types.Integer) -> Any:
    """The entries of a contiguous array from ``begin`` on, ``count`` of them."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _narrow(context, builder, signature.return_type, signature.args[0], args[0], args[1], [args[2]])

    return array(array, types.intp, types.intp), generate


@intrinsic
def rows_window(
    typing: Any, array: types.Array, begin: types.Integer, rows: types.Integer, width: types.Integer
) -> Any:
    """The same as a matrix with so many rows of ``width`` entries."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _narrow(context, builder, signature.return_type, signature.args[0], args[0], args[1], [args[2], args[3]])

    return array.copy(ndim=2)(array, types.intp, types.intp, types.intp), generate


@intrinsic
def vector(
    typing: Any, t: types.Array, k: types.Integer, array: types.Array, column: types.Integer, count: types.Integer
) -> Any:
    """The ``count`` entries of a long array from where row ``k`` of a table says in ``column``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        table = make_array(kind)(context, builder, args[0])
        place = cgutils.get_item_pointer(context, builder, kind, table, [args[1], args[3]])
        begin = builder.load(place)
        return _narrow(context, builder, signature.return_type, signature.args[2], args[2], begin, [args[4]])

    return array(t, types.intp, array, types.intp, types.intp), generate


@intrinsic
def as_signed(typing: Any, array: types.Array) -> Any:
    """The same entries of 32 bits as signed integers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        given = make_array(signature.args[0])(context, builder, args[0])
        zero, count = context.get_constant(types.intp, 0), cgutils.unpack_tuple(builder, given.shape, 1)
        return _narrow(context, builder, signature.return_type, signature.args[0], args[0], zero, count)

    return array.copy(dtype=types.int32)(array), generate


@intrinsic
def as_bytes(typing: Any, array: types.Array, count: types.Integer) -> Any:
    """The first ``count`` bytes of an array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = context.get_constant(types.intp, 0)
        return _narrow(context, builder, signature.return_type, signature.args[0], args[0], zero, [args[1]])

    return array.copy(dtype=types.uint8)(array, types.intp), generate
