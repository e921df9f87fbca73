"""Prefetch: where states do not fit in the cache, those of far neighbours are asked for ahead of their turn.

A processor waits for a state that is neither in its cache nor near the last one. On a random graph of a million nodes
that is most of the time of a pass; asked for in time, they come while others are worked on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["AHEAD", "is_scattered", "prefetch"]

AHEAD = 128  # slots between asking for a state and its turn
_CACHE = 4 << 20  # bytes of states that a processor is taken to hold
_NEAR = 1 << 15  # nodes that states are near within, in memory
_SAMPLES = 4_096
_MANY = 0.05  # of the slots lead farther

IntArray = npt.NDArray[Any]


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


def is_scattered(indptr: IntArray, indices: IntArray, bytes_each: int) -> bool:
    """Whether the states of the nodes outgrow the cache and many neighbours are far from each other, from a sample.

    Parameters
    ----------
    indptr, indices : ndarray of unsigned integers
        Rows of the graph or of a matrix.
    bytes_each : int
        Of the state of a node.

    Returns
    -------
    bool
    """
    n, slots = len(indptr) - 1, len(indices)
    if n * bytes_each <= _CACHE or slots == 0:
        return False
    sample = np.arange(0, slots, max(1, slots // _SAMPLES))
    row = np.searchsorted(indptr, sample.astype(indptr.dtype), side="right") - 1
    return bool(np.mean(np.abs(indices[sample].astype(np.int64) - row) > _NEAR) > _MANY)
