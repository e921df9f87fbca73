"""Memory: what one solve has freed is kept for the next."""

from __future__ import annotations

import functools

import numpy as np

__all__ = ["keep_freed_memory"]

_LARGEST = (32 << 20) - (1 << 15)  # bytes: glibc's threshold for mappings of their own rises up to 32 MiB


@functools.cache
def keep_freed_memory() -> None:
    """Once a process: let the C library keep freed memory of up to 64 MB, instead of handing it back at once.

    The arrays of a solve are freed when it ends. glibc then gives the memory back to the system, of which the next
    solve has to ask for it again, page by page: on trees a good part of its time. It keeps twice the size of the
    largest block that it has seen freed, so it is shown one, which nobody touches. Other C libraries do not care.
    """
    np.empty(_LARGEST, np.uint8)
