"""Write the one object that this tool ever writes: the ConfigMap in which a node's probe publishes its facts, if asked.

By server-side apply under a field manager of its own; the pod owns it, so that it goes with the pod.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from gpuaudit.cluster.node_facts import HostFacts
from gpuaudit.collect.kubernetes.connection import Connection
from gpuaudit.errors import UserError
from gpuaudit.knowledge.probe import probe

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

POD_NAME, POD_UID, POD_NAMESPACE = "GPUAUDIT_POD_NAME", "GPUAUDIT_POD_UID", "GPUAUDIT_POD_NAMESPACE"  # downward API
MANAGER = "gpuaudit-probe"
SECONDS = 20.0


def publish(connection: Connection, facts: HostFacts, lines: Sequence[str]) -> None:
    """Apply the ConfigMap of this pod's node. UserError when that is refused, or the pod does not know itself."""
    name, uid, namespace = (os.environ.get(key, "") for key in (POD_NAME, POD_UID, POD_NAMESPACE))
    if not (facts.node and name and uid and namespace):
        raise UserError("no ConfigMap outside the probe's pod", hint="apply what prints: gpuaudit generate probe")
    text = "\n".join(lines)
    if len(text) > probe().limits.configmap_bytes:
        raise UserError(f"the facts take {len(text):,} bytes: too many for a ConfigMap", hint="read the pod's log")
    tree = configmap(facts.node, text, namespace=namespace, pod=(name, uid))
    response = _patch(connection, tree)
    if response.status not in (200, 201):
        reason = bytes(response.data[:300]).decode("utf-8", "replace")
        raise UserError(f"{response.status} {' '.join(reason.split())}", hint="give the probe its Role")


def configmap(node: str, text: str, *, namespace: str, pod: tuple[str, str]) -> dict[str, Any]:
    """Return the ConfigMap of a node; `pod` is name and UID of its owner."""
    known = probe()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{known.configmap_prefix}{node}"[:253],
            "namespace": namespace,
            "labels": {known.label: known.name},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": pod[0], "uid": pod[1]}],
        },
        "data": {known.configmap_key: text},
    }


def _patch(connection: Connection, tree: dict[str, Any]) -> "BaseHTTPResponse":
    from urllib3.exceptions import HTTPError

    meta = tree["metadata"]
    path = f"/api/v1/namespaces/{quote(meta['namespace'], safe='')}/configmaps/{quote(meta['name'], safe='')}"
    headers = {"Content-Type": "application/apply-patch+yaml", "Accept": "application/json", "User-Agent": "gpuaudit"}
    try:
        response: BaseHTTPResponse = connection.pool.request(
            "PATCH",
            f"{connection.base}{path}?fieldManager={MANAGER}&force=true",
            body=msgspec.json.encode(tree),
            headers=headers | connection.credentials(),
            timeout=SECONDS,
            retries=False,
        )
    except (HTTPError, OSError) as error:
        raise UserError(f"the API server was not reached: {type(error).__name__}", hint="it is tried again") from error
    return response
