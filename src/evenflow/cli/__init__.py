"""The command line: ``evenflow solve | compare | experiment | methods | energies | graphs``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; input errors end with code 2 and one line, failed solves with code 1."""
    from evenflow.cli.app import app
    from evenflow.errors import EvenflowError, InputError

    try:
        app()
    except (InputError, OSError) as error:
        print(f"evenflow: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except EvenflowError as error:
        print(f"evenflow: {error}", file=sys.stderr)
        raise SystemExit(1) from None
