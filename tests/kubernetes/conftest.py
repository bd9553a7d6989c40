"""A recorded API server for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.replay import Replay, replay_server


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Replay]:
    """The recorded API server on a free port."""
    with replay_server(tmp_path) as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait milliseconds where a real run waits seconds."""
    monkeypatch.setattr("gpuaudit.collect.kubernetes.fetch.MAX_WAIT_SECONDS", 0.05)
    monkeypatch.setattr("gpuaudit.collect.kubernetes.fetch._pause", lambda attempt: 0.01)
