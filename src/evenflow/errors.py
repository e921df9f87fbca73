"""Every error and warning that evenflow raises on purpose."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CacheWarning", "EvenflowError", "EvenflowWarning", "FileFormatError", "InputError", "SolveError"]


class EvenflowError(Exception):
    """Base of all errors raised on purpose by evenflow."""


class InputError(EvenflowError, ValueError):
    """An argument is at fault; the message names it, its value, what was expected and what to do."""


class FileFormatError(InputError):
    """A file does not hold what its format promises.

    Parameters
    ----------
    path : str or Path
        The file.
    problem : str
        What is wrong and what to do.
    line : int, optional
        Line of the file (from 1) where it went wrong.
    """

    def __init__(self, path: str | Path, problem: str, line: int | None = None) -> None:
        self.path, self.problem, self.line = str(path), problem, line
        where = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{where}: {problem}")


class SolveError(EvenflowError, RuntimeError):
    """A computation broke down in a way that no status can describe (a lost checkpoint, a broken map)."""


class EvenflowWarning(UserWarning):
    """Base of all warnings issued by evenflow."""


class CacheWarning(EvenflowWarning):
    """The kernel cache cannot be used; compilation happens in memory instead."""
