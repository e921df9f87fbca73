"""Preconditioners by name."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

import evenflow.preconditioner as room
from evenflow.errors import InputError
from evenflow.preconditioner import PRECONDITIONERS, build_preconditioner


@pytest.mark.parametrize("name", sorted(PRECONDITIONERS))
def test_every_name_builds(name: str) -> None:
    p = build_preconditioner(name)
    assert p.name == name
    assert type(p).__name__ in room.__all__
    assert str(p)


@pytest.mark.parametrize("name", sorted(PRECONDITIONERS))
def test_options_are_plain_values(name: str) -> None:
    p = build_preconditioner(name)
    for field in fields(p):  # type: ignore[arg-type]
        if field.init:
            assert isinstance(getattr(p, field.name), int | float | str)
    assert replace(p) == p  # type: ignore[type-var]


def test_unknown_name() -> None:
    with pytest.raises(InputError, match="expected one of jacobi"):
        build_preconditioner("ilu")
