"""JSON that a terminal may show: nothing in it moves the cursor, hides or reverses text, and nothing is lost."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from gpuaudit.report.json import encode


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_what_is_printed_is_harmless_and_reads_back_the_same(text: str) -> None:
    printed = encode({text: [text]})
    assert json.loads(printed) == {text: [text]}
    assert not any(unicodedata.category(char) == "Cc" for char in printed if char != "\n")


def test_marks_that_reverse_or_break_lines_are_escapes() -> None:
    text = "a\u202eb\u2066c\u200fd\u2028e\x9bf\x1bg"
    printed = encode(text)
    assert printed == '"a\\u202eb\\u2066c\\u200fd\\u2028e\\u009bf\\u001bg"\n'
    assert json.loads(printed) == text
