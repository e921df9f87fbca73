"""Loops over the few entries of a row, kept as short as they are written."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

__all__ = ["after"]


def after(k: Any) -> Any:
    """The number after an unsigned ``k``; compiled, by a way that the compiler does not see through.

    A loop whose turns the compiler can count it unrolls by eight, and to find out that a row has only two or three
    entries then costs more than to go through them, in a sweep over a mesh as everywhere. So instead of
    ``for k in range(begin, end)`` compiled code has ``k = begin``, ``while k < end`` and at the end ``k = after(k)``.

    Examples
    --------
    >>> import numpy as np
    >>> from evenflow.energy.short_loop import after
    >>> int(after(np.uint32(7)))
    8
    """
    return np.uint64(k) + np.uint64(1)


@intrinsic
def _hidden(typing: Any, k: types.Integer) -> Any:
    """The number after k as the result of no instructions, of which the compiler only knows that they give one."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        k = args[0] if args[0].type == word else builder.zext(args[0], word)
        return builder.asm(ir.FunctionType(word, [word]), "", "=r,0", [builder.add(k, word(1))], False)

    return types.uint64(k), generate


@overload(after)
def _compiled_after(k):  # type: ignore[no-untyped-def]
    def compiled(k):  # type: ignore[no-untyped-def]
        return _hidden(k)

    return compiled
