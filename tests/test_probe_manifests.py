"""`generate probe`: valid to the last field, the least privilege, and only what was asked for."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpuaudit.errors import UserError
from gpuaudit.manifests import ProbeOptions, generate

ROOT = Path(__file__).resolve().parents[1]
VALIDATOR = ROOT.parent / "shared" / "tools" / "validate_manifests.py"
IMAGE = f"registry.example/tools/gpuaudit-probe@sha256:{'ab' * 32}"
EVERYTHING = ProbeOptions(image=IMAGE, configmaps=True, mig_monitor=True, runtime_class="")


def documents(options: ProbeOptions = ProbeOptions(image=IMAGE)) -> dict[str, dict[str, Any]]:  # noqa: B008
    (one,) = generate(["probe"], options)
    return {f"{tree['kind']} {tree['metadata']['name']}": tree for tree in yaml.safe_load_all(one.text)}


def pod(options: ProbeOptions = ProbeOptions(image=IMAGE)) -> dict[str, Any]:  # noqa: B008
    return dict(documents(options)["DaemonSet gpuaudit-probe"]["spec"]["template"]["spec"])


def test_it_holds_no_more_rights_than_it_needs() -> None:
    spec = pod()
    (container,) = spec["containers"]
    assert not spec.get("hostNetwork")
    assert not spec.get("hostPID")
    assert not spec.get("hostIPC")
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert [volume["hostPath"]["path"] for volume in spec["volumes"]] == ["/sys"]


def test_it_takes_no_gpu_and_little_else() -> None:
    (container,) = pod()["containers"]
    assert set(container["resources"]["requests"]) == set(container["resources"]["limits"]) == {"cpu", "memory"}
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert environment["NVIDIA_DRIVER_CAPABILITIES"] == "utility"


def test_it_goes_to_gpu_nodes_one_at_a_time() -> None:
    found = documents()["DaemonSet gpuaudit-probe"]["spec"]
    assert found["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1}
    affinity = found["template"]["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {"key": "nvidia.com/gpu.present", "operator": "In", "values": ["true"]} in terms[0]["matchExpressions"]
    assert all(len(term["matchExpressions"]) == 1 for term in terms)
    assert {one["effect"] for one in found["template"]["spec"]["tolerations"]} == {"NoSchedule"}


def test_it_is_told_where_the_host_is_and_how_often_to_read() -> None:
    (container,) = pod(ProbeOptions(image=IMAGE, every="1h"))["containers"]
    assert container["args"] == ["node", "--every", "1h", "--root", "/host", "--proc", "/proc"]
    assert container["image"] == IMAGE


def test_a_role_to_write_comes_only_with_configmaps() -> None:
    rights = [rule for tree in documents().values() if tree["kind"] == "Role" for rule in tree["rules"]]
    assert rights == [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]
    found = documents(EVERYTHING)
    assert found["Role gpuaudit-probe-publisher"]["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch"]}
    ]
    assert not any(tree["kind"].startswith("Cluster") for tree in found.values())
    assert pod(EVERYTHING)["automountServiceAccountToken"] is True
    assert pod(EVERYTHING)["containers"][0]["args"][-1] == "--configmap"


def test_it_talks_to_nobody_unless_it_publishes() -> None:
    assert documents()["NetworkPolicy gpuaudit-probe"]["spec"] == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "gpuaudit-probe"}},
        "policyTypes": ["Ingress", "Egress"],
    }
    assert documents(EVERYTHING)["NetworkPolicy gpuaudit-probe"]["spec"]["policyTypes"] == ["Ingress"]


def test_capabilities_come_only_with_placements_and_a_runtime_class_only_where_there_is_one() -> None:
    (container,) = pod(EVERYTHING)["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SYS_ADMIN"]}
    assert {"name": "NVIDIA_MIG_MONITOR_DEVICES", "value": "all"} in container["env"]
    assert (pod()["runtimeClassName"], pod(EVERYTHING).get("runtimeClassName")) == ("nvidia", None)


def test_everything_is_in_one_namespace_of_its_own() -> None:
    found = documents(ProbeOptions(image=IMAGE, namespace="gpu-tools"))
    assert found["Namespace gpu-tools"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert {tree["metadata"].get("namespace", "gpu-tools") for tree in found.values()} == {"gpu-tools"}


@pytest.mark.parametrize(
    "options",
    [
        ProbeOptions(image="gpuaudit:latest"),
        ProbeOptions(image=f"x@sha256:{'a' * 63}"),
        ProbeOptions(image=f"x@sha256:{'a' * 64}\nevil: true"),
        ProbeOptions(image=IMAGE, namespace="Not A Name"),
        ProbeOptions(image=IMAGE, runtime_class='x"y'),
        ProbeOptions(image=IMAGE, every="now"),
        ProbeOptions(image=IMAGE, every="1s"),
    ],
)
def test_what_would_not_do_is_refused(options: ProbeOptions) -> None:
    with pytest.raises(UserError):
        generate(["probe"], options)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpuaudit", "generate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ,
    )


def test_without_an_image_it_says_so_and_pulls_nothing() -> None:
    done = command("probe")
    assert done.returncode == 0
    assert "no --image" in done.stderr
    assert "image: registry.invalid/gpuaudit@sha256:" in done.stdout
    assert command("probe", "--image", "gpuaudit:latest").returncode == 2


@pytest.mark.skipif(not VALIDATOR.exists(), reason="the validator of manifests is not beside the project")
@pytest.mark.parametrize("options", [ProbeOptions(), EVERYTHING], ids=["least", "most"])
def test_the_api_server_would_take_it(tmp_path: Path, options: ProbeOptions) -> None:
    pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    pytest.importorskip("cel", reason="common-expression-language is not installed")
    file = tmp_path / "probe.yaml"
    file.write_text(generate(["probe"], options)[0].text)
    done = subprocess.run([sys.executable, VALIDATOR, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") == len(documents(options))
