"""The demo cluster: the same every time, small, and true to the stories of fixtures/demo/README.md."""

from functools import cache
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from fixtures.build_demo import FOLDER, SNAPSHOTS
from gpuaudit import schema
from gpuaudit.audit import audit
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY, UNKNOWN_OWNER
from gpuaudit.config import Config
from gpuaudit.loader import load_rules
from gpuaudit.plan.pricebook import PriceBook, load_prices
from gpuaudit.store import dumps, load

ROOT = Path(__file__).resolve().parents[1]
STORIES = (ROOT / "fixtures" / "demo" / "README.md").read_text(encoding="utf-8")

FIRES = [
    ("abandoned-notebook", "notebooks/jupyter-alice", "medium"),
    ("abandoned-notebook", "notebooks/jupyter-carol", "medium"),
    ("empty-gpu-node", "serve-a100", "high"),
    ("empty-gpu-node", "reserved-a100", "medium"),
    ("failing-pod-holds-gpu", "docs/reranker", "high"),
    ("failing-pod-holds-gpu", "vision/eval-coco", "medium"),
    ("failing-pod-holds-gpu", "vision/segmenter-v2", "high"),
    ("idle-gpu", "nlp/rlhf-dev", "medium"),
    ("abandoned-notebook", "notebooks/jupyter-carol", "medium"),
    ("idle-gpu", "sandbox/debug-maria", "medium"),
    ("idle-gpu", "sandbox/toxicity-demo", "medium"),
    ("idle-gpu", "search/vllm-mixtral-legacy", "medium"),
    ("idle-gpu", "speech/asr-finetune", "medium"),
    ("lost-gpu", "train-h100", "medium"),
    ("ownerless-gpu-pod", "sandbox/debug-maria", "low"),
    ("stalled-job", "vision/dino-train", "high"),
    ("stranded-gpu", "data-eng/feature-builder", "medium"),
    ("stranded-gpu", "serve-l40s", "info"),
    ("stranded-gpu", "train-h100", "medium"),
    ("unallocated-gpu", "reserved-a100", "medium"),
    ("unallocated-gpu", "serve-a100", "medium"),
    ("underused-gpu", "fraud/triton-scorer", "low"),
    ("underused-gpu", "nlp/vllm-qwen-14b", "low"),
    ("abandoned-notebook", "notebooks/jupyter-alice", "medium"),
    ("underused-gpu", "search/embeddings", "low"),
]
SILENT = [
    "ads/creative-sdxl",
    "ads/ctr-explore",
    "ads/ctr-nightly",
    "ads/ranker-triton",
    "ci/gpu-tests",
    "data-eng/clip-embed-archive",
    "data-eng/embed-backfill-q4",
    "data-eng/nightly-embeddings",
    "docs/vllm-mistral-7b",
    "dr-a100",
    "fraud/langid",
    "nlp/classifier",
    "nlp/eval-harness-1109",
    "nlp/long-context-study",
    "nlp/pretrain-3b",
    "nlp/pretrain-7b",
    "nlp/sft-13b",
    "nlp/vllm-qwen-32b",
    "notebooks/jupyter-bob",
    "notebooks/jupyter-erin",
    "notebooks/jupyter-frank",
    "notebooks/jupyter-grace",
    "notebooks/jupyter-hana",
    "search/vllm-llama-70b",
    "search/vllm-llama-70b-canary",
    "search/vllm-llama-8b",
    "speech/tts-serve",
    "vision/detector-train",
    "vision/vllm-qwen2-vl-7b",
]
JUDGING = {
    "abandoned-notebook",
    "crash-waste",
    "empty-gpu-node",
    "excess-gpus-in-pod",
    "failing-pod-holds-gpu",
    "idle-gpu",
    "ownerless-gpu-pod",
    "stalled-job",
    "straggler-gpu",
    "underused-gpu",
}


@cache
def committed(name: str = "demo") -> Snapshot:
    return load(FOLDER / f"{name}.gpuaudit")


@cache
def report(name: str = "demo", prices: Path | None = None) -> schema.Report:
    book = PriceBook(load_prices(prices) if prices else None)
    return audit(committed(name), load_rules(), Config(), book)


def place(finding: schema.FindingPart) -> str:
    """Namespace and name, or the pool of a node or nodes."""
    subject = finding.subject
    if subject.namespace:
        return f"{subject.namespace}/{subject.name}"
    node = committed().node_by_key.get((subject.cluster, subject.name))
    return (node.pool or "") if node else subject.name.partition("/")[0]


def unignored() -> list[schema.FindingPart]:
    return [finding for finding in report().findings if finding.ignored is None]


@pytest.mark.parametrize("name", sorted(SNAPSHOTS))
def test_the_committed_snapshot_is_what_the_script_builds(name: str) -> None:
    """Compared by content: another Parquet or zlib release may write the same content in other bytes."""
    fresh, stored = SNAPSHOTS[name](), committed(name)
    remedy = "run: python -m fixtures.build_demo"
    for field in vars(stored):
        if field != "usage" and field in Snapshot.__dataclass_fields__:
            assert getattr(fresh, field) == getattr(stored, field), f"{field} differs; {remedy}"
    assert_frame_equal(fresh.usage.hourly, stored.usage.hourly)
    assert_frame_equal(fresh.usage.devices, stored.usage.devices)


def test_two_builds_are_the_same_bytes() -> None:
    assert dumps(SNAPSHOTS["demo"]()) == dumps(SNAPSHOTS["demo"]())


@pytest.mark.parametrize(("name", "limit"), [("demo", 2_000_000), ("quiet", 60_000), ("cpu-only", 10_000)])
def test_snapshots_are_small(name: str, limit: int) -> None:
    assert (FOLDER / f"{name}.gpuaudit").stat().st_size <= limit


def test_it_is_a_company_s_cluster() -> None:
    demo = committed()
    assert len(demo.gpu_nodes) == 51
    assert sum(node.gpus for node in demo.gpu_nodes) == 298
    assert len({node.pool for node in demo.gpu_nodes}) == 15
    assert len({node.zone for node in demo.gpu_nodes}) == 5
    assert demo.usage.hourly["hour"].nunique() == 14 * 24
    assert {node.purchase for node in demo.gpu_nodes} == {"on_demand", "spot", "reserved", "owned"}


def test_no_node_holds_more_than_it_has() -> None:
    demo = committed()
    for node in demo.gpu_nodes:
        held = sum(pod.gpus or 0 for pod in demo.holders(node))
        assert held <= node.gpus + 1e-9, node.name
        assert (node.cpu_requested_cores or 0) <= (node.cpu_cores or 0), node.name
        assert (node.memory_requested_bytes or 0) <= (node.memory_bytes or 0), node.name


def test_no_device_has_more_samples_than_scrapes_or_works_beyond_itself() -> None:
    hourly = committed().usage.hourly
    assert hourly.groupby(["device", "hour"])["samples"].sum().max() <= 120 + 1e-3
    for column in ("util_max", "gpu_util_mean", "tensor_mean", "dram_max"):
        assert hourly[column].dropna().between(0, 1).all(), column
    known = hourly.dropna(subset=["power_mean_watts"])
    assert (known["power_mean_watts"] <= known["power_max_watts"] + 1).all()
    busy, still = known[known["util_mean"] > 0.8], known[known["util_max"] == 0]
    assert busy["power_mean_watts"].median() > 3 * still["power_mean_watts"].median()


def test_a_gpu_changes_hands_within_an_hour() -> None:
    hourly = committed().usage.hourly
    canary = hourly[hourly["owner"].str.endswith("/vllm-llama-70b-canary")]
    hour = hourly[(hourly["device"] == canary["device"].iloc[0]) & (hourly["hour"] == canary["hour"].min())]
    assert set(hour["owner"]) == {
        NOBODY,
        "prod-use1/Job/nlp/eval-harness-1109",
        "prod-use1/Deployment/search/vllm-llama-70b-canary",
    }
    assert hour["samples"].sum() == 120


def test_what_is_not_seen_is_unknown() -> None:
    demo = committed()
    devices = demo.usage.devices
    dgx = devices[devices["node"].str.startswith("dgx-")]
    assert set(dgx["owner"]) == {UNKNOWN_OWNER}
    assert devices[devices["profile"] != ""]["power_p95_watts"].isna().all()
    assert report().coverage.observed_gpu_hours_ratio is not None
    assert 0.9 <= report().coverage.observed_gpu_hours_ratio < 1
    assert report().utilization.buckets.unknown


@pytest.mark.parametrize(("rule", "subject", "severity"), FIRES)
def test_a_story_is_told(rule: str, subject: str, severity: str) -> None:
    found = {(finding.rule, place(finding)): finding.severity for finding in unignored()}
    assert found.get((rule, subject)) == severity


@pytest.mark.parametrize("subject", SILENT)
def test_a_story_stays_silent(subject: str) -> None:
    assert [finding.message for finding in unignored() if place(finding) == subject and finding.rule in JUDGING] == []


def test_spares_and_the_excused_are_listed_as_ignored() -> None:
    ignored = {place(finding) for finding in report().findings if finding.ignored is not None}
    assert {"dr-a100", "serve-a100", "notebooks/jupyter-erin"} <= ignored


def test_every_workload_has_its_story() -> None:
    demo = committed()
    for workload in demo.workloads:
        if not workload.name.startswith("jupyter-student"):
            assert f"{workload.namespace}/{workload.name}`" in STORIES, workload.id


def test_the_money() -> None:
    bill, plan = report().bill, report().plan
    batch = next(line for line in bill.by_pool if line.pool == "batch-l4")
    assert sum(node.pool == "batch-l4" for node in committed().gpu_nodes) == 4
    assert 0.6 < batch.nodes < 0.8
    assert {"dgx-01", "dgx-02", "dgx-03"} <= {line.node for line in bill.unpriced_nodes}
    assert bill.monthly is not None
    assert 600_000 < bill.monthly < 800_000
    assert plan.savings_monthly.booked is not None
    assert 0.05 < plan.savings_monthly.booked / bill.monthly < 0.1
    assert [(item.nodes, item.date) for item in plan.at_renewal] == [(1, "2027-01-31")]


def test_the_queue_waits_and_keeps_no_node_that_it_cannot_use() -> None:
    assert report().utilization.demand.pending_gpus == 28
    found = [finding for finding in unignored() if finding.savings.ledger == "cash"]
    assert [place(finding) for finding in found] == ["serve-a100"]


def test_the_company_s_price_file_prices_every_node() -> None:
    priced = report("demo", ROOT / "fixtures" / "demo" / "prices.toml")
    assert priced.bill.unpriced_nodes == []
    assert (priced.bill.monthly or 0) > (report().bill.monthly or 0)


def test_nothing_to_do_in_the_quiet_cluster() -> None:
    assert report("quiet").findings == []
    assert (report("quiet").bill.monthly or 0) > 0


def test_a_cluster_without_gpus_is_audited_too() -> None:
    assert report("cpu-only").findings == []
    assert report("cpu-only").cluster.gpus == 0
