"""Loops over the few entries of a row, kept as short as they are written."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["after"]


@intrinsic
def after(typing: Any, k: types.Integer) -> Any:
    """The number after an unsigned ``k``, as uint64, by a way that the compiler does not see through.

    It unrolls a loop whose turns it can count by eight, and to find out that a row has only two or three entries then
    costs more than to go through them: a sweep over a mesh takes a quarter longer. So instead of
    ``for k in range(begin, end)`` compiled code has ``k = begin``, ``while k < end`` and at the end ``k = after(k)``.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        k = args[0] if args[0].type == word else builder.zext(args[0], word)
        return builder.asm(ir.FunctionType(word, [word]), "", "=r,0", [builder.add(k, word(1))], False)

    return types.uint64(k), generate
