"""Write the one object that this tool ever writes: the ConfigMap in which a node's probe publishes its facts, if asked.

By server-side apply under a field manager of its own; the pod owns it, so that it goes with the pod.
"""

import json
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from gpuaudit.cluster.node_facts import HostFacts
from gpuaudit.errors import UserError
from gpuaudit.knowledge.probe import probe

POD_NAME, POD_UID, POD_NAMESPACE = "GPUAUDIT_POD_NAME", "GPUAUDIT_POD_UID", "GPUAUDIT_POD_NAMESPACE"  # downward API
MANAGER = "gpuaudit-probe"
SECONDS = 20.0


class Account(NamedTuple):
    """The API server as a pod reaches it, and the folder of its service account; the token in it is renewed."""

    base: str
    folder: Path


def own_account() -> Account:
    """Return this pod's account. UserError outside a pod that has one."""
    from gpuaudit.collect.kubernetes.connection import SERVICE_ACCOUNT

    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (SERVICE_ACCOUNT / "token").is_file():
        raise UserError("no service account here to publish with", hint="apply what prints: gpuaudit generate probe")
    return Account(f"https://{f'[{host}]' if ':' in host else host}:{port}", SERVICE_ACCOUNT)


def publish(account: Account, facts: HostFacts, lines: Sequence[str]) -> None:
    """Apply the ConfigMap of this pod's node. UserError when that is refused, or the pod does not know itself."""
    name, uid, namespace = (os.environ.get(key, "") for key in (POD_NAME, POD_UID, POD_NAMESPACE))
    if not (facts.node and name and uid and namespace):
        raise UserError("no ConfigMap outside the probe's pod", hint="apply what prints: gpuaudit generate probe")
    text = "\n".join(lines)
    if len(text) > probe().limits.configmap_bytes:
        raise UserError(f"the facts take {len(text):,} bytes: too many for a ConfigMap", hint="read the pod's log")
    _apply(account, configmap(facts.node, text, namespace=namespace, pod=(name, uid)))


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


def _apply(account: Account, tree: dict[str, Any]) -> None:
    """Send a server-side apply, by the standard library alone: the probe's image shall be small."""
    meta = tree["metadata"]
    path = f"/api/v1/namespaces/{quote(meta['namespace'], safe='')}/configmaps/{quote(meta['name'], safe='')}"
    try:
        token = (account.folder / "token").read_text(encoding="utf-8").strip()
        request = Request(  # noqa: S310 - the API server's own address
            f"{account.base}{path}?fieldManager={MANAGER}&force=true",
            data=json.dumps(tree).encode(),
            headers={"Content-Type": "application/apply-patch+yaml", "Authorization": f"Bearer {token}"},
            method="PATCH",
        )
        certificates = account.folder / "ca.crt"
        trust = ssl.create_default_context(cafile=str(certificates) if certificates.is_file() else None)
        with build_opener(ProxyHandler({}), HTTPSHandler(context=trust)).open(request, timeout=SECONDS):
            return
    except HTTPError as error:
        reason = " ".join(error.read(300).decode("utf-8", "replace").split())
        raise UserError(f"{error.code} {reason}", hint="give the probe its Role") from error
    except (OSError, ValueError) as error:
        raise UserError(f"the API server was not reached: {error}"[:200], hint="it is tried again") from error
