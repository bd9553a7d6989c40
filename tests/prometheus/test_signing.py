"""Requests to Amazon's Prometheus: each carries the signature that its bytes on the wire demand, computed here anew."""

import hashlib
import hmac
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote_plus

import pytest

from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.prometheus.transport import Direct, direct
from gpuaudit.errors import UserError

HOST = "aps-workspaces.eu-west-1.amazonaws.com"
KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/token=="
ASKED = 'sum by (pod) (max without (replica) (count_over_time(DCGM_FI_PROF_SM_ACTIVE{cluster="a b+c",x=~"é|ü"}[1h])))'


@dataclass
class Service:
    """A server that checks signatures as AWS documents them; it knows the secret, not how we sign."""

    port: int = 0
    verdicts: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)


def encoded(text: str) -> str:
    return quote(text, safe="-_.~")


def signature(handler: BaseHTTPRequestHandler, body: bytes) -> str:
    """AWS Signature Version 4 of what arrived, from the documentation: canonical request, string to sign, key."""
    told = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
        r"SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}",
        handler.headers["Authorization"],
    )
    assert told, handler.headers["Authorization"]
    key, day, region, service, names = told.groups()
    assert (key, region, service) == (KEY, "eu-west-1", "aps")
    assert {"host", "x-amz-date"} <= set(names.split(";"))
    path, _, query = handler.path.partition("?")
    pairs = sorted(
        tuple(encoded(unquote_plus(part)) for part in pair.split("=", 1)) for pair in query.split("&") if pair
    )
    canonical = "\n".join(
        [
            handler.command,
            "/".join(encoded(part) for part in path.split("/")),
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(handler.headers[name].split())}" for name in names.split(";")),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(
        ["AWS4-HMAC-SHA256", handler.headers["X-Amz-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    secret = f"AWS4{SECRET}".encode()
    for part in (day, region, service, "aws4_request"):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service at its own name, which leads to this machine; credentials as they stand in an environment."""
    pytest.importorskip("botocore", reason="signing is the extra `aws`, whose botocore is not installed here")
    state = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def answer(self, body: bytes) -> None:
            right = self.headers["Authorization"].endswith(f"Signature={signature(self, body)}")
            state.verdicts.append("right" if right else "wrong")
            state.bodies.append(body)
            state.tokens.append(self.headers["X-Amz-Security-Token"])
            self.send_response(200 if right else 403)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            pass

    for name, value in {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}.items():
        monkeypatch.setenv(name, value)
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: resolve("127.0.0.1" if host == HOST else host, *rest, **more)
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.port = server.server_port
    yield state
    server.shutdown()


def way(service: Service) -> Direct:
    return direct(f"http://{HOST}:{service.port}/workspaces/ws-1")


def test_a_posted_query_is_signed(service: Service) -> None:
    way(service).ask("/api/v1/query", {"query": ASKED, "time": "1.5"}, Deadline(30))
    assert service.verdicts == ["right"]
    assert b"count_over_time" in service.bodies[0]
    assert service.tokens == [TOKEN]


def test_parameters_of_a_url_are_signed_whatever_stands_in_them(service: Service) -> None:
    to = way(service)
    to.ask("/api/v1/labels", {"match[]": '{__name__=~"A|B",cluster="a b+c&d=é"}', "start": "1"}, Deadline(30))
    to.ask("/api/v1/status/buildinfo", {}, Deadline(30))
    assert service.verdicts == ["right", "right"]


def test_a_space_travels_in_the_one_way_that_amazon_signs(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    to = way(service)
    send = to._client._session.send
    monkeypatch.setattr(
        to._client._session, "send", lambda request, **more: seen.append(request.url) or send(request, **more)
    )
    to.ask("/api/v1/labels", {"match[]": '{cluster="a b"}'}, Deadline(30))
    assert "+" not in seen[0]
    assert "a%20b" in seen[0]


def test_a_header_of_ones_own_is_not_signed_over(service: Service) -> None:
    url = f"http://{HOST}:{service.port}/workspaces/ws-1"
    assert direct(url, headers=["Authorization: Bearer x"])._client.auth is None


def test_without_credentials_it_is_said_how_to_get_some(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(UserError) as caught:
        way(service)
    assert "aws sts" in caught.value.hint


def test_without_the_library_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "botocore.session", None)
    with pytest.raises(UserError) as caught:
        direct(f"https://{HOST}/workspaces/ws-1")
    assert "gpuaudit[aws]" in caught.value.hint
