"""Minimum degree: small thin graphs are eliminated to the end, in an order that makes little new."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from evenflow.energy.short_loop import after
from evenflow.preconditioner.elimination import NEGATIVE, elimination_order
from evenflow.preconditioner.half import mend_pivot

__all__ = ["factor_values", "minimum_degree"]

_CORE = 2_048  # nodes that may be left when leaves and chains are gone: each has a bit in the row of each other
_ENTRIES = 4  # most multipliers for each edge that is left then
_WORD = 64


@intrinsic
def _count_bits(typing: Any, word: types.Integer) -> Any:
    """How many bits of a word are set."""
    return word(word), lambda context, builder, signature, args: builder.ctpop(args[0])


@intrinsic
def _first_bit(typing: Any, word: types.Integer) -> Any:
    """Place of the lowest bit that is set, of a word that is not zero."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        undefined_for_zero = context.get_constant(types.boolean, True)
        return builder.cttz(args[0], undefined_for_zero)

    return word(word), generate


@njit(cache=True, nogil=True)
def _eliminate_core(neighbours, node, order, count, l_ptr, l_idx, most):  # type: ignore[no-untyped-def]
    """Eliminate all nodes that are left, those with the fewest neighbours first, all of them in one sweep.

    A row of ``neighbours`` has a bit for each node: eliminating one, its row is added to those of its neighbours.
    Returns whether there were no more than ``most`` multipliers.
    """
    one = np.uint64(1)
    n, words = neighbours.shape
    degree = np.zeros(n, np.int64)
    left = np.arange(n)
    row = np.empty(words, np.uint64)
    for i in range(n):
        for w in range(words):
            degree[i] += np.int64(_count_bits(neighbours[i, w]))
    t = np.int64(l_ptr[count])
    rest = n
    while rest > 0:
        least = degree[left[0]]
        for k in range(rest):
            least = min(least, degree[left[k]])
        kept = 0
        for k in range(rest):
            i = left[k]
            if degree[i] > least:
                left[kept] = i
                kept += 1
                continue
            begin = t
            if t + degree[i] > most:
                return False
            for w in range(words):
                bits = neighbours[i, w]
                row[w] = bits
                while bits != 0:
                    l_idx[t] = w * _WORD + np.int64(_first_bit(bits))
                    t += 1
                    bits &= bits - one
            for s in range(begin, t):
                j = np.int64(l_idx[s])
                total = np.int64(0)
                neighbours[j, i // _WORD] &= ~(one << np.uint64(i % _WORD))
                for w in range(words):
                    bits = neighbours[j, w] | row[w]
                    neighbours[j, w] = bits
                    total += np.int64(_count_bits(bits))
                neighbours[j, j // _WORD] &= ~(one << np.uint64(j % _WORD))
                degree[j] = total - 1
                l_idx[s] = node[j]
            order[count] = node[i]
            count += 1
            l_ptr[count] = t
        rest = kept
    return True


@njit(cache=True, nogil=True)
def _sort_rows(order, l_ptr, l_idx):  # type: ignore[no-untyped-def]
    """Sort the rows of the multipliers by the turns of their nodes, by transposing twice.

    Returns the turn of each node, and the columns: where they begin, the rows that have an entry, and its slot.
    """
    one = np.uint64(1)
    n = np.uint64(len(order))
    turn = np.empty(n, np.uint32)
    for k in range(n):
        turn[order[k]] = k
    c_ptr = np.zeros(n + one, np.uint32)
    for j in l_idx:
        c_ptr[turn[j] + one] += np.uint32(1)
    for k in range(n):
        c_ptr[k + one] += c_ptr[k]
    c_row, column, c_slot = np.empty_like(l_idx), np.empty_like(l_idx), np.empty_like(l_idx)
    place = c_ptr[:-1].copy()
    t = np.uint64(0)
    for k in range(n):
        end = l_ptr[k + one]
        while t < end:
            p = turn[l_idx[t]]
            s = place[p]
            c_row[s] = k
            column[s] = p
            place[p] = s + np.uint32(1)
            t = after(t)
    place[:] = l_ptr[:-1]
    for s in range(np.uint64(len(l_idx))):  # entry by entry: lengths of columns are no more to be foretold
        k = c_row[s]
        t = place[k]
        l_idx[t] = order[column[s]]
        c_slot[s] = t
        place[k] = t + np.uint32(1)
    return turn, c_ptr, c_row, c_slot


@njit(cache=True, nogil=True)
def minimum_degree(ptr, idx):  # type: ignore[no-untyped-def]
    """Order of elimination of all nodes of a graph given by its lower rows, and the pattern of the factor.

    Leaves and chains first, then those with the fewest neighbours. Given up where too many nodes are left after the
    first, or there would be much new: then the order is empty.

    Returns
    -------
    order : ndarray, shape (n,)
    l_ptr, l_idx : ndarray
        Rows of the multipliers: neighbours of each node at its turn, by their turns.
    place : ndarray
        Slot of each edge in them.
    c_ptr, c_row, c_slot : ndarray
        For the node of each turn, the rows that it is in, ascending, and the slots.
    """
    n = len(ptr) - 1
    m = len(idx)
    thin, thin_ptr, thin_idx, _, _, ends = elimination_order(ptr, idx)
    count, core = len(thin), n - len(thin)
    number = np.zeros(n, np.int32)
    for k in range(count):
        number[thin[k]] = -1
    node = np.empty(core, np.uint32)
    k = 0
    for i in range(n - 1, -1, -1):
        if number[i] == 0:
            number[i] = k
            node[k] = i
            k += 1
    order, l_ptr = np.empty(n, np.uint32), np.empty(n + 1, np.uint32)
    l_idx = np.empty(len(thin_idx) + _ENTRIES * (len(ends) // 2), np.uint32)
    order[:count] = thin
    entries = 0
    l_ptr[0] = entries
    for k in range(count):
        for s in range(thin_ptr[k], thin_ptr[k + 1]):
            if s == thin_ptr[k] or thin_idx[s] != thin_idx[s - 1]:  # the end of a loop has one neighbour by two edges
                l_idx[entries] = thin_idx[s]
                entries += 1
        l_ptr[k + 1] = entries
    place = np.empty(m, np.uint32)
    fits = core <= _CORE
    if fits and core > 0:
        neighbours = np.zeros((core, (core + _WORD - 1) // _WORD), np.uint64)
        edges = 0
        for e in range(len(ends) // 2):
            a, b = number[ends[2 * e]], number[ends[2 * e + 1]]
            stays = (a >= 0) & (b >= 0)  # no branch could foretell it
            a, b, bit = max(a, 0), max(b, 0), np.uint64(stays)
            neighbours[a, b // _WORD] |= bit << np.uint64(b % _WORD)
            neighbours[b, a // _WORD] |= bit << np.uint64(a % _WORD)
            edges += stays
        fits = _eliminate_core(neighbours, node, order, count, l_ptr, l_idx, entries + _ENTRIES * edges)
    if not fits:
        none = place[:0]
        return order[:0], l_ptr[:1], l_idx[:0], none, none, none, none
    l_idx = l_idx[: l_ptr[n]].copy()
    turn, c_ptr, c_row, c_slot = _sort_rows(order, l_ptr, l_idx)
    for e in range(m):
        p, q = turn[ends[2 * e]], turn[ends[2 * e + 1]]
        second = order[max(p, q)]
        t = np.int64(l_ptr[min(p, q)])
        t += l_idx[t] != second  # most rows have one or two
        while l_idx[t] != second:
            t += 1
        place[e] = t
    return order, l_ptr, l_idx, place, c_ptr, c_row, c_slot


@njit(cache=True, nogil=True)
def factor_values(  # type: ignore[no-untyped-def]
    val, diagonal, order, l_ptr, l_idx, place, c_ptr, c_row, c_slot, tiny, l_val, inverse
):
    """Multipliers and inverse pivots of the whole matrix, by the columns of the factor from left to right.

    A pivot below ``tiny`` times its diagonal entry belongs to a component that nothing holds; it is replaced by that
    entry, which pins the component. Returns how many were zero so, and how many were negative.
    """
    one = np.uint64(1)
    n = np.uint64(len(order))
    l_val[:] = 0.0
    for e in range(np.uint64(len(val))):
        l_val[place[e]] += val[e]
    slot = np.empty(n, np.uint32)
    zero = 0
    negative = 0
    s = np.uint64(0)
    for p in range(n):
        i = order[p]
        pivot = diagonal[i]
        t, end = l_ptr[p], l_ptr[p + one]
        while t < end:
            slot[l_idx[t]] = t
            t = after(t)
        last = c_ptr[p + one]
        while s < last:
            k = c_row[s]
            t, end = c_slot[s], l_ptr[k + one]
            a = l_val[t]
            share = a * inverse[k]
            pivot -= share * a
            t = after(t)
            while t < end:
                l_val[slot[l_idx[t]]] -= share * l_val[t]
                t = after(t)
            s = after(s)
        pivot, is_zero, is_negative = mend_pivot(pivot, abs(diagonal[i]), tiny, NEGATIVE)
        zero += is_zero
        negative += is_negative
        inverse[p] = 1.0 / pivot
    t = np.uint64(0)
    for p in range(n):
        end = l_ptr[p + one]
        while t < end:
            l_val[t] *= inverse[p]
            t = after(t)
    return zero, negative
