"""A pool of threads for kernels over row ranges; results never depend on how many there are."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError

__all__ = ["run_chunks", "split_rows", "thread_count"]

_SLOTS_PER_CHUNK = 1 << 17
_pool: tuple[int, int, ThreadPoolExecutor] | None = None


def thread_count() -> int:
    """Number of threads that kernels use: ``EVENFLOW_THREADS``, by default the number of processors.

    Raises
    ------
    InputError
        If the variable is not a positive integer.
    """
    text = os.environ.get("EVENFLOW_THREADS", "").strip()
    if not text:
        return os.cpu_count() or 1
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"EVENFLOW_THREADS is {text!r}, expected a positive integer")
    return int(text)


def split_rows(indptr: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut rows into ranges of about equal work; the cut depends on the graph alone."""
    n, slots = len(indptr) - 1, int(indptr[-1])
    work = slots + n
    count = max(1, round(work / _SLOTS_PER_CHUNK))
    if count == 1:
        return [(0, n)]
    targets = np.arange(1, count) * (work / count)
    cumulative = indptr.astype(np.float64) + np.arange(n + 1)
    bounds = np.unique(np.concatenate([[0], np.searchsorted(cumulative, targets), [n]]))
    return [(int(a), int(b)) for a, b in pairwise(bounds)]


def run_chunks(task: Callable[[int, int], float], chunks: list[tuple[int, int]]) -> list[float]:
    """Run ``task(start, stop)`` for every chunk and return the results in the order of the chunks."""
    workers = min(thread_count(), len(chunks))
    if workers == 1:
        return [task(start, stop) for start, stop in chunks]
    results = [0.0] * len(chunks)

    def work(first: int) -> None:
        for k in range(first, len(chunks), workers):
            results[k] = task(*chunks[k])

    futures = [_executor(workers).submit(work, first) for first in range(1, workers)]
    work(0)
    for future in futures:
        future.result()
    return results


def _executor(workers: int) -> ThreadPoolExecutor:
    """Shared pool, made anew in a forked child and when more threads are asked for."""
    global _pool  # noqa: PLW0603 - one pool for the process
    if _pool is None or _pool[0] != os.getpid() or _pool[1] < workers:
        _pool = (os.getpid(), workers, ThreadPoolExecutor(workers, thread_name_prefix="evenflow"))
    return _pool[2]
