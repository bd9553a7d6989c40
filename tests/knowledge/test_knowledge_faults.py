"""What faults mean."""

import pytest

from gpuaudit.knowledge.faults import buckets, fault_action, fault_class, sources


@pytest.mark.parametrize(
    ("fault", "means"),
    [
        ("xid 79", "broken"),
        ("XID 95", "broken"),
        ("xid 46", "broken"),
        ("xid 172", "broken"),
        ("xid 63", "watch"),
        ("xid 145", "watch"),
        ("xid 31", "program"),
        ("xid 121", "program"),
        ("xid 777", "unknown"),
        ("row remap failure", "replace"),
        ("gpu lost", "broken"),
        ("", "unknown"),
        ("xid " + "9" * 400, "unknown"),
    ],
)
def test_class(fault: str, means: str) -> None:
    assert fault_class(fault) == means


def test_an_xid_names_the_action_of_the_catalogue() -> None:
    assert fault_action("xid 119") == "RESET_GPU"
    assert fault_action("xid 167") == ""
    assert fault_action("row remap failure") == ""


def test_no_xid_stands_in_two_buckets_and_every_source_is_named() -> None:
    xids = [xid for bucket in buckets() for xid in bucket.xids]
    assert len(xids) == len(set(xids))
    assert {bucket.source for bucket in buckets()} <= set(sources())


def test_what_the_catalogue_wants_reset_is_never_called_harmless() -> None:
    reset = [bucket for bucket in buckets() if bucket.action in ("RESET_GPU", "RESTART_BM")]
    assert reset
    assert all(bucket.means != "program" for bucket in reset)
