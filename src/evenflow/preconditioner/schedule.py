"""Schedule: how often a cycle visits each level, and how much longer it makes the corrections by groups."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["count_visits", "limit_stretch"]

_SMALL = 0.1  # entries of a level beside those of the finest one
_SOLVED = 4  # visits of what is left below levels of elimination, if it is small
_CHEAP = 0.3  # entries of a level that is visited twice, beside those of the last one of groups above
_LONGEST = 1.9  # times the right step, where a level is visited again


def count_visits(entries: Sequence[int], grouped: Sequence[bool]) -> list[int]:
    """How often each level is visited on each visit of the level above, in a W-cycle.

    Elimination is exact, so only levels of groups count. A small one below levels of elimination is all that is left to
    solve, and solved well. The largest of the other coarse ones is visited once: twice would gain about as much as it
    costs.

    Parameters
    ----------
    entries : sequence of int
        Of the matrix of each level.
    grouped : sequence of bool
        Whether the next level are groups of its nodes.

    Examples
    --------
    >>> from evenflow.preconditioner.schedule import count_visits
    >>> count_visits([1000, 400, 80, 20, 4], [True, True, True, True, False])
    [1, 1, 2, 2, 1]
    """
    visits: list[int] = []
    above: list[int] = []
    for size, groups in zip(entries, grouped, strict=True):
        if groups:
            small = size <= _SMALL * entries[0]
            twice = 2 if len(above) > 1 and small and size <= _CHEAP * above[-1] else 1
            visits.append(twice if above else _SOLVED if small else 1)
            above.append(size)
        else:
            visits.append(1)
    return visits


def limit_stretch(visits: Sequence[int], grouped: Sequence[bool], wanted: Sequence[float]) -> list[float]:
    """The factor of each level's corrections, less than what is ``wanted`` where the cycle could be indefinite.

    One visit of a level makes at most ``longest`` times the right step, the factors from there down multiplied. A
    second visit mends what is too long; but what is more than twice the right step it makes worse, with the wrong
    sign, so that levels that are visited again may not get there.

    Examples
    --------
    >>> from evenflow.preconditioner.schedule import limit_stretch
    >>> limit_stretch([1, 2, 1], [True, True, False], [1.7, 1.7, 1.0])
    [1.7, 1.7, 1.0]
    >>> limit_stretch([1, 2, 1, 1], [True, True, True, False], [1.7, 1.7, 1.7, 1.0])
    [1.7, 1.1176470588235294, 1.7, 1.0]
    """
    factors, longest = [1.0] * len(visits), 1.0
    for k in reversed(range(len(visits))):
        if grouped[k]:
            factors[k] = wanted[k] if visits[k] == 1 else min(wanted[k], _LONGEST / longest)
            longest = max(1.0, factors[k] * longest)
        if visits[k] > 1:
            longest = 1.0 if visits[k] % 2 == 0 else 1.0 + (longest - 1.0) ** visits[k]
    return factors
