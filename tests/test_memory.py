"""Memory that one solve has freed is there for the next."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from evenflow import memory
from evenflow.memory import long_array, release_long_arrays

PROGRAM = """
import resource
import numpy as np
from evenflow.memory import keep_freed_memory

def faults() -> int:
    "Pages that were asked for again while 16 blocks of 1 MB were made, used and freed, three times."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        blocks = [np.ones(1 << 17) for _ in range(16)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

np.ones(1 << 17)
faults()
without = faults()
keep_freed_memory()
faults()
print(without, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other habits")
def test_freed_blocks_are_used_again() -> None:
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    without, kept = map(int, found.stdout.split())
    assert kept < 0.1 * without


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long begins early, and nothing was lent yet."""
    monkeypatch.setattr(memory, "_LONG", 100)
    monkeypatch.setattr(memory, "_lent", [])


@pytest.mark.usefixtures("short")
def test_a_long_array_is_lent_again_once_nobody_refers_to_it() -> None:
    first = long_array(1_000, np.float64)
    where = first.ctypes.data
    view = first[3:5]
    del first
    second = long_array(900, np.float64)
    assert second.ctypes.data != where  # the view keeps it
    del view
    third = long_array(1_000, np.float64)
    assert third.ctypes.data == where
    assert long_array(900, np.uint32).dtype == np.uint32
    assert len(long_array(len(third) + 1, np.float64)) > len(third)


@pytest.mark.usefixtures("short")
def test_released_arrays_live_as_long_as_somebody_refers_to_them() -> None:
    used, unused = long_array(1_000, np.float64), long_array(1_000, np.float64)
    used[:] = 1.0
    gone = weakref.ref(unused)
    del unused
    assert gone() is not None
    release_long_arrays()
    assert gone() is None
    assert used.sum() == 1_000


@pytest.mark.usefixtures("short")
def test_threads_are_lent_different_arrays() -> None:
    together = threading.Barrier(4)

    def borrow(_: int) -> list[np.ndarray]:
        together.wait()
        return [long_array(5_000, np.float64) for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        lent = [array for arrays in pool.map(borrow, range(4)) for array in arrays]
    assert len({array.ctypes.data for array in lent}) == len(lent) == 200


@pytest.mark.usefixtures("short")
def test_no_more_than_a_limit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_KEPT", 20_000)
    long_array(1_000, np.float64)
    long_array(10_000, np.float64)  # more than all that may be kept
    assert [len(array) for array in memory._lent] == [1_000]
    for size in (1_100, 1_200):
        long_array(size, np.float64)
    assert [len(array) for array in memory._lent] == [1_100, 1_200]
