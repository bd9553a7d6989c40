"""An API server on loopback that answers from the recordings, writes down what it is asked, and fails on request."""

import gzip
import json
import re
import ssl
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

CAPTURES = Path(__file__).resolve().parents[2] / "fixtures" / "captures"
VARIANTS = {" aggregated": "g=apidiscovery.k8s.io", " metadata": "as=PartialObjectMetadataList", "": ""}
TENANT = "nlp-prod"  # the only namespace that `limited` may read

Answer = tuple[int, dict[str, str], bytes]


@cache
def capture(name: str) -> bytes:
    """A file of the recordings."""
    with zipfile.ZipFile(CAPTURES / "lab.zip") as archive:
        return archive.read(name)


@cache
def names(folder: str) -> tuple[str, ...]:
    """Files of a folder of the recordings."""
    with zipfile.ZipFile(CAPTURES / "lab.zip") as archive:
        return tuple(name for name in archive.namelist() if name.startswith(folder))


@cache
def index() -> dict[str, dict[str, Any]]:
    return json.loads(capture("index.json"))["responses"]


def status(code: int, message: str = "", **metadata: str) -> Answer:
    """A Status as the API server words it."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": metadata,
        "status": "Failure",
        "message": message,
        "code": code,
    }
    return code, {"Content-Type": "application/json"}, json.dumps(body).encode()


def plain(code: int, text: str, **headers: str) -> Answer:
    return code, {"Content-Type": "text/plain; charset=utf-8"} | headers, text.encode()


def selected(labels: dict[str, str], selector: str) -> bool:
    """Whether labels meet a selector of equalities and sets, as the API server judges it."""
    for part in re.split(r",(?![^(]*\))", selector):
        if match := re.fullmatch(r"\s*(\S+) in \((.*)\)\s*", part):
            if labels.get(match[1]) not in [value.strip() for value in match[2].split(",")]:
                return False
        elif "=" in part:
            key, _, value = part.replace("==", "=").partition("=")
            if labels.get(key.strip()) != value.strip():
                return False
        elif part.strip() not in labels:
            return False
    return True


@dataclass
class Fault:
    """What happens to requests whose path begins so, `times` times after `after` good ones."""

    path: str
    act: Callable[["Handler"], None] | None = None
    answer: Answer | None = None
    times: float = float("inf")
    after: int = 0
    token: str = ""  # only of who asks with this


@dataclass
class Replay:
    """A running server. `asked` is every request: user, method, path with query."""

    url: str
    folder: Path
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    change: Callable[[str, Answer], Answer] = lambda path, answer: answer
    aggregated: bool = True
    tokens: dict[str, str] = field(default_factory=dict)  # token → user, besides NAME-token
    extra: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # plural → objects beside the recorded ones
    logs: dict[tuple[str, str], bytes] = field(default_factory=dict)  # namespace and pod → what its container logged

    def kubeconfig(self, *users: str, namespace: str = "", cluster: str = "lab", **user: Any) -> Path:
        """A kubeconfig with a context per user, the first of them current."""
        contexts = [
            {
                "name": name,
                "context": {"cluster": cluster, "user": name} | ({"namespace": namespace} if namespace else {}),
            }
            for name in users
        ]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": cluster, "cluster": {"server": self.url}}],
            "contexts": contexts,
            "users": [{"name": name, "user": user or {"token": f"{name}-token"}} for name in users],
            "current-context": users[0],
        }
        path = self.folder / f"{'-'.join(users)}-{namespace}-{cluster}.json"
        path.write_text(json.dumps(config))
        return path

    def paths(self) -> list[str]:
        """Paths asked for, without their queries."""
        return [urlsplit(target).path for _, _, target in self.asked]

    def find(self, user: str, method: str, target: str, accept: str) -> Answer:
        """The recorded answer, else one cut out of a recorded list, else what the server would say."""
        if method != "GET":
            return status(403, "writes are not allowed")
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        if user == "throttled" and url.path not in ("/version", "/api", "/apis"):
            return plain(429, "Too many requests, please try again later.", **{"Retry-After": "1"})
        if url.path in ("/version", "/api", "/apis"):
            return self._recorded("auditor", url.path, accept)
        if "/proxy/" in url.path:
            return status(503, "no endpoints available for service")
        if url.path.startswith("/api/v1/namespaces/") and url.path.endswith("/log"):
            return self._log(url.path.split("/"), query)
        known = index().get(f"{user} GET {url.path}?limit=500")
        if known and known["status"] != 200:
            return known["status"], known["headers"], capture(known["body"])
        return self._list(user, url.path, query, accept)

    def _recorded(self, user: str, path: str, accept: str) -> Answer:
        for variant, mark in VARIANTS.items():
            record = index().get(f"{user} GET {path}{variant}")
            if record and mark in accept and (self.aggregated or variant != " aggregated"):
                return record["status"], record["headers"], capture(record["body"])
        return plain(404, "404 page not found")

    def _log(self, parts: list[str], query: dict[str, str]) -> Answer:
        content = self.logs.get((parts[4], parts[6]))
        if content is None:
            return status(404, f'pods "{parts[6]}" not found')
        lines = content.splitlines(keepends=True)[-int(query["tailLines"]) :]
        return 200, {"Content-Type": "text/plain"}, b"".join(lines)[: int(query["limitBytes"])]

    def _list(self, user: str, path: str, query: dict[str, str], accept: str) -> Answer:
        parts = path.strip("/").split("/")
        start = 2 if parts[0] == "api" else 3
        if len(parts) == start:
            return self._recorded("auditor", path, accept)
        namespace = parts[start + 1] if parts[start] == "namespaces" and len(parts) > start + 1 else ""
        kind = parts[-1]
        if user == "limited" and namespace != TENANT:
            return status(403, f'{kind} is forbidden: User "gpuaudit-limited" cannot list resource "{kind}"')
        root = "/".join(["", *parts[:start]])
        record = None
        for who, scope in ((user, f"/namespaces/{namespace}" if namespace else ""), ("auditor", "")):
            for variant in ("", " metadata"):
                record = record or index().get(f"{who} GET {root}{scope}/{kind}?limit=500{variant}")
        if record is None:
            return plain(404, "404 page not found")
        if record["status"] != 200:
            return record["status"], record["headers"], capture(record["body"])
        return 200, record["headers"], self._page(json.loads(capture(record["body"])), kind, namespace, query, accept)

    def _page(self, whole: dict[str, Any], kind: str, namespace: str, query: dict[str, str], accept: str) -> bytes:
        items = [*whole["items"], *self.extra.get(kind, ())]
        items = [i for i in items if namespace in ("", i["metadata"].get("namespace"))]
        if selector := query.get("labelSelector"):
            items = [i for i in items if selected(i["metadata"].get("labels", {}), selector)]
        if "as=PartialObjectMetadataList" in accept:
            whole = whole | {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            items = [
                {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": i["metadata"]}
                for i in items
            ]
        start = int(query.get("continue") or 0)
        end = start + int(query.get("limit") or len(items) or 1)
        meta = {"resourceVersion": whole["metadata"]["resourceVersion"]}
        if end < len(items):
            meta["continue"] = str(end)
        return json.dumps(
            {"kind": whole["kind"], "apiVersion": whole["apiVersion"], "metadata": meta, "items": items[start:end]}
        ).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    replay: Replay

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("http"):  # as a proxy is asked
            url = urlsplit(self.path)
            self.path = url.path + (f"?{url.query}" if url.query else "")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        user = self.replay.tokens.get(token) or token.removesuffix("-token")
        self.replay.asked.append((user, self.command, self.path))
        fault = self._fault(token)
        if fault and fault.act:
            fault.act(self)
            return
        if fault and fault.answer:
            self.reply(fault.answer)
            return
        if user not in ("auditor", "limited", "throttled"):
            self.reply(status(401, "Unauthorized"))
            return
        answer = self.replay.find(user, self.command, self.path, self.headers.get("Accept", ""))
        self.reply(self.replay.change(self.path, answer))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names of the base class

    def _fault(self, token: str) -> Fault | None:
        for fault in self.replay.faults:
            if self.path.startswith(fault.path) and fault.token in ("", token):
                if fault.after > 0:
                    fault.after -= 1
                elif fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def reply(self, answer: Answer, *, announced: int | None = None) -> None:
        """Send an answer, packed if that is welcome; `announced` lies about its length."""
        code, headers, body = answer
        headers = {key: value for key, value in headers.items() if key.lower() != "content-length"}
        packed = "Content-Encoding" in headers or announced is not None
        if "gzip" in self.headers.get("Accept-Encoding", "") and len(body) > 4096 and not packed:
            body, headers = gzip.compress(body, 1), headers | {"Content-Encoding": "gzip"}
        self.send_response(code)
        for key, value in (headers | {"Content-Length": str(len(body) if announced is None else announced)}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def good(self) -> Answer:
        """The answer that this request deserves."""
        user = self.headers.get("Authorization", "").removeprefix("Bearer ").removesuffix("-token")
        return self.replay.find(user, "GET", self.path, self.headers.get("Accept", ""))

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def replay_server(folder: Path, certificate: tuple[Path, Path] | None = None) -> Iterator[Replay]:
    """A server on a free port, until the block ends; with a certificate and its key it speaks TLS."""
    handler = type("ReplayHandler", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https" if certificate else "http"
    handler.replay = Replay(f"{scheme}://127.0.0.1:{server.server_port}", folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield handler.replay
    finally:
        server.shutdown()
        server.server_close()
