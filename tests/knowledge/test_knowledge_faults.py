"""What faults mean."""

import pytest

from gpuaudit.knowledge.faults import fault_class


@pytest.mark.parametrize(
    ("fault", "means"),
    [
        ("xid 79", "broken"),
        ("XID 95", "broken"),
        ("xid 63", "watch"),
        ("xid 31", "program"),
        ("xid 777", "unknown"),
        ("row remap failure", "replace"),
        ("gpu lost", "broken"),
        ("", "unknown"),
        ("xid " + "9" * 400, "unknown"),
    ],
)
def test_class(fault: str, means: str) -> None:
    assert fault_class(fault) == means
