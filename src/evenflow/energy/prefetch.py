"""The instruction that asks for a piece of memory ahead of its use, for compiled code."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["prefetch"]


@intrinsic
def prefetch(typing: Any, array: types.Array, at: types.Integer) -> Any:
    """Ask for element ``at`` of a contiguous array, counted through; any number is allowed."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        form = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [place.type], form)
        to_read, to_keep, is_data = number(0), number(3), number(1)
        builder.call(ask, [place, to_read, to_keep, is_data])
        return context.get_dummy_value()

    return types.void(array, at), generate
