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
