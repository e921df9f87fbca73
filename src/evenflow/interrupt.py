"""Interrupt: Ctrl-C as a request to stop after the step."""

from __future__ import annotations

import signal
import threading
from typing import Any

__all__ = ["Interrupt"]


class Interrupt:
    """Turns the first Ctrl-C into a request, :attr:`requested`; the second raises KeyboardInterrupt.

    From :meth:`listen` on, and only in the main thread, until the block ends. Before, Ctrl-C is what it always is: it
    ends a loop over many small solves, none of which listens for as long as nobody could mean that one.

    Examples
    --------
    >>> import signal
    >>> from evenflow.interrupt import Interrupt
    >>> with Interrupt() as interrupt:
    ...     interrupt.listen()
    ...     signal.raise_signal(signal.SIGINT)
    ...     interrupt.requested
    True
    """

    def __init__(self) -> None:
        self.requested = False
        self._listening = False
        self._before: Any = None  # the handler to put back

    def listen(self) -> None:
        """Take over Ctrl-C, if that was not done yet."""
        if self._listening:
            return
        self._listening = True
        if threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGINT, self._request)
            self._before = signal.SIG_DFL if before is None else before  # None: it was not Python's

    def _request(self, signum: int, frame: Any) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __enter__(self) -> Interrupt:
        return self

    def __exit__(self, *fault: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
