"""A server in front of a real Prometheus that misbehaves as told, over real sockets."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

Answer = tuple[int, dict[str, str], bytes]
Trick = Callable[["Asked"], Answer | None]  # None = pass it on


@dataclass
class Asked:
    """One request: how many came before it, its path, form and headers."""

    number: int
    path: str
    form: dict[str, str]
    headers: dict[str, str]
    method: str


@dataclass
class Front:
    """What was asked so far, and how many at once at most."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class DiedError(Exception):
    """The server drops the connection."""


@contextmanager
def front(behind: str, trick: Trick) -> Iterator[Front]:
    """Serve in front of the server `behind`."""
    state = Front()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _answer(self, body: bytes) -> None:
            query = body.decode() or self.path.partition("?")[2]
            form = {name: values[-1] for name, values in parse_qs(query).items()}
            with state.lock:
                asked = Asked(len(state.asked), self.path.partition("?")[0], form, dict(self.headers), self.command)
                state.asked.append(asked)
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
            try:
                status, headers, content = trick(asked) or _passed(behind + self.path, body)
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except DiedError:
                self.close_connection = True
                self.connection.close()
            finally:
                with state.lock:
                    state.at_once -= 1

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _passed(url: str, body: bytes) -> Answer:
    request = urllib.request.Request(url, data=body or None)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, {}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {}, error.read()
