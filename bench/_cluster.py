"""A generated cluster served from memory over HTTP: as many GPU nodes and pods as asked for, as an API server answers.

Run as a module it prints its address and serves until it is killed: python -m bench._cluster NODES PODS GPU_PODS EACH
RATE ANEW (EACH = pods of a Deployment; RATE = bytes a second over all connections, 0 = as fast as memory and loopback
go; ANEW 1 = objects lie in memory, and lists are written as JSON for each request, as an API server does; 0 = the
lists' bytes lie there).
"""

import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench._objects import Tree, deployment, meta, node, pod, replica_set

PAGE = 500
CHUNK = 1 << 18  # smaller ones would be slowed by the sleeps between them, not by the line
LATE_SECONDS = 0.02
LISTS = ("nodes", "namespaces", "pods", "replicasets", "deployments")
PATHS = (
    "/api",
    "/apis",
    "/version",
    *(f"/api/v1/{name}" for name in LISTS[:3]),
    *(f"/apis/apps/v1/{name}" for name in LISTS[3:]),
)


class Pages:
    """All lists, cut into pages: as bytes, or as objects that become bytes when they are asked for."""

    def __init__(self, nodes: int, pods: int, gpu_pods: int, each: int, *, anew: bool) -> None:
        self._anew = anew
        kinds = [(i, i // each, i < gpu_pods) for i in range(pods)]
        groups = sorted({(group, gpu) for _, group, gpu in kinds})
        self._lists = {
            "/api/v1/nodes": self._cut("NodeList", [node(i) for i in range(nodes)]),
            "/api/v1/pods": self._cut("PodList", (pod(i, group, nodes, gpu) for i, group, gpu in kinds)),
            "/api/v1/namespaces": self._cut(
                "NamespaceList",
                [{"metadata": meta(f"team-{i}")} for i in range(60)] + [{"metadata": meta("kube-system")}],
            ),
            "/apis/apps/v1/replicasets": self._cut(
                "PartialObjectMetadataList", [replica_set(*group) for group in groups]
            ),
            "/apis/apps/v1/deployments": self._cut("DeploymentList", (deployment(*group, each) for group in groups)),
        }
        resources = {"": ["nodes", "pods", "namespaces"], "apps": ["replicasets", "deployments"]}
        self._discovery = {
            "/api": self._groups({"": resources[""]}),
            "/apis": self._groups({"apps": resources["apps"]}),
            "/version": b'{"gitVersion":"v1.33.1"}',
        }

    def find(self, path: str, start: int) -> bytes | None:
        """Return the answer for a path and the number of the page."""
        if path in self._discovery:
            return self._discovery[path]
        pages = self._lists.get(path)
        page = pages[start] if pages and start < len(pages) else None
        return page if page is None or isinstance(page, bytes) else _written(page)

    def _cut(self, kind: str, items: Any) -> list[bytes | Tree]:
        found = list(items)
        parts = [found[i : i + PAGE] for i in range(0, len(found), PAGE)] or [[]]
        pages: list[bytes | Tree] = []
        for number, part in enumerate(parts):
            more = {"continue": f"{number + 1}"} if number + 1 < len(parts) else {}
            page = {"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "1822"} | more, "items": part}
            pages.append(page if self._anew else _written(page))
        return pages

    def _groups(self, groups: dict[str, list[str]]) -> bytes:
        items = [
            {
                "metadata": {"name": name},
                "versions": [
                    {"version": "v1", "resources": [{"resource": plural, "verbs": ["list"]} for plural in plurals]}
                ],
            }
            for name, plurals in groups.items()
        ]
        return json.dumps(
            {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}
        ).encode()


def _written(page: Tree) -> bytes:
    return json.dumps(page, separators=(",", ":")).encode()


class Line:
    """A line of so many bytes a second that all connections share; it makes good for a server that wakes late."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free = time.monotonic()

    def send(self, file: Any, body: bytes) -> None:
        """Write the body, no faster than the line."""
        if not self._rate:
            file.write(body)
            return
        for start in range(0, len(body), CHUNK):
            part = body[start : start + CHUNK]
            with self._lock:
                self._free = max(self._free, time.monotonic() - LATE_SECONDS) + len(part) / self._rate
                end = self._free
            file.write(part)
            time.sleep(max(0.0, end - time.monotonic()))


def serve(pages: Pages, rate: float) -> ThreadingHTTPServer:
    """Return a server on a free port of loopback."""
    line = Line(rate)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a small body waits for the acknowledgement of the head
        wbufsize = 0

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            start = parse_qs(url.query).get("continue", ["0"])[0]
            body = pages.find(url.path, int(start) if re.fullmatch(r"\d+", start) else 0)
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            line.send(self.wfile, body or b"")

        def log_message(self, *args: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def main() -> None:
    """Serve until killed."""
    nodes, pods, gpu_pods, each = map(int, sys.argv[1:5])
    server = serve(Pages(nodes, pods, gpu_pods, each, anew=sys.argv[6] == "1"), float(sys.argv[5]))
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
