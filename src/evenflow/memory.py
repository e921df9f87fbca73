"""Memory: what one solve has freed is kept for the next."""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["keep_freed_memory", "long_array", "release_long_arrays"]

_LARGEST = (32 << 20) - (1 << 15)  # bytes: glibc's threshold for mappings of their own rises up to 32 MiB


@functools.cache
def keep_freed_memory() -> None:
    """Once a process: let the C library keep freed memory of up to 64 MB, instead of handing it back at once.

    The arrays of a solve are freed when it ends. glibc then gives the memory back to the system, of which the next
    solve has to ask for it again, page by page: on trees a good part of its time. It keeps twice the size of the
    largest block that it has seen freed, so it is shown one, which nobody touches. Other C libraries do not care.
    """
    np.empty(_LARGEST, np.uint8)


_LONG = _LARGEST  # bytes beyond which the C library does not keep an array
_KEPT = 1 << 30  # bytes of long arrays that are kept, at most
_lent: list[npt.NDArray[Any]] = []
_lock = threading.Lock()
_probe = [object()]
_ALONE = sys.getrefcount(_probe[0])  # what is counted of an object that only a list refers to


def long_array(size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array with room for ``size`` entries at least, uninitialised.

    The C library hands blocks of over 32 MiB back to the system at once. Of those that are asked for here the last
    ones, up to one GiB, are kept instead, and one that nobody refers to any more (no view of it either) is handed out
    again. What of an array was never touched takes no memory.

    Examples
    --------
    >>> from evenflow.memory import long_array
    >>> len(long_array(1000, "float64")) >= 1000
    True
    """
    dtype = np.dtype(dtype)
    if size * dtype.itemsize <= _LONG:
        return np.empty(size, dtype)
    with _lock:
        free = [k for k in range(len(_lent)) if _lent[k].dtype == dtype and len(_lent[k]) >= size and _is_free(k)]
        array = _lent.pop(min(free, key=lambda k: len(_lent[k]))) if free else np.empty(size, dtype)
        if array.nbytes <= _KEPT:
            _lent.append(array)
            while sum(kept.nbytes for kept in _lent) > _KEPT:
                del _lent[0]
        return array


def release_long_arrays() -> None:
    """Hand the long arrays that are kept back to the system; those in use when they are no more.

    Examples
    --------
    >>> from evenflow.memory import release_long_arrays
    >>> release_long_arrays()
    """
    with _lock:
        _lent.clear()


def _is_free(k: int) -> bool:
    """Whether only the list itself refers to an array that was lent."""
    return sys.getrefcount(_lent[k]) == _ALONE
