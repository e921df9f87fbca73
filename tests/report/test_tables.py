from __future__ import annotations

import pytest
from rich.table import Table

from evenflow.errors import InputError
from evenflow.report.tables import as_text, format_seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (3.21e-7, "0.321 us"),
        (0.00099949, "999 us"),
        (0.0009996, "1 ms"),
        (0.0123456, "12.3 ms"),
        (0.99949, "999 ms"),
        (1.5, "1.5 s"),
        (1234.4, "1234 s"),
    ],
)
def test_format_seconds(seconds, text):
    assert format_seconds(seconds) == text


def test_as_text_has_no_control_codes():
    table = Table("a")
    table.add_row("[not markup")
    assert "\x1b" not in as_text(table)
    with pytest.raises(InputError, match="positive"):
        as_text(table, 0)
