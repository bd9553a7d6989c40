"""The rows of the observability layer. What lies outside the cluster (SaaS, a managed store) is unknown, not absent."""

from collections.abc import Iterator

from gpuaudit.knowledge.stack import matches, stack
from gpuaudit.stack.installed import installed
from gpuaudit.stack.view import Verdict, View, counted, named

DCGM = "DCGM_FI_"
DASHBOARD = "dashboard."


def prometheus(view: View) -> Verdict:
    """Return the verdict on Prometheus: in the cluster, a provider's, or one that answered from elsewhere."""
    found = installed(view, "prometheus")
    if found.status == "present" and (found.version or any(view.custom("Prometheus"))):
        return found
    managed = installed(view, "managed_prometheus")
    if managed.status in ("present", "provider_managed"):
        return Verdict("provider_managed", managed.evidence, managed.version)
    answered = next((one for one in view.sources if one.name == "prometheus" and one.status in ("ok", "partial")), None)
    if answered:
        return Verdict("present", (f"a store that speaks its API answered: {answered.detail}",), found.version)
    if found.status == "present":
        told = "its operator runs; no server of it was seen"
        return Verdict("unknown", (told, *found.evidence[:2]))
    return _unless_saas(view, found)


def grafana(view: View) -> Verdict:
    """Return the verdict on Grafana; a managed or hosted one leaves no trace here."""
    found = installed(view, "grafana")
    if found.status != "absent":
        return found
    if installed(view, "managed_prometheus").status in ("present", "provider_managed"):
        told = "metrics go to a managed store: dashboards may be beside it, outside the cluster"
        return Verdict("unknown", (told,))
    return _unless_saas(view, found)


def dcgm_exporter(view: View) -> Verdict:
    """Return the verdict on the DCGM exporter: its workloads, else its metrics."""
    found = installed(view, "dcgm_exporter")
    if found.status in ("absent", "unknown"):
        names = [name for name in view.metrics if name.startswith(DCGM)]
        if names:
            return Verdict("present", (f"the metrics store holds {counted(len(names), 'metric')} of it",))
    if found.status == "present":
        record = view.system("dcgm_exporter")
        wanted = (record.pods_wanted or 0) if record else 0
        missing = wanted - ((record.pods_ready or 0) if record else 0)
        without = [node.name for node in view.gpu_nodes if "dcgm_exporter" not in node.agents]
        told = [f"{counted(missing, 'pod')} of it not ready"] if missing > 0 else []
        some = 0 < len(without) < len(view.gpu_nodes)  # none at all: its pods were not read, or run under another name
        told += [f"no pod of it on {named(without)}"] if some and 0 < wanted < len(view.gpu_nodes) else []
        return Verdict("present", (*found.evidence[:2], *told), found.version)
    return found


def opentelemetry(view: View) -> Verdict:
    """Return the verdict on OpenTelemetry."""
    return _unless_saas(view, installed(view, "opentelemetry"))


def cost_attribution(view: View) -> Verdict:
    """Return the verdict on cost attribution: a tool that prices workloads, or dashboards that speak of cost."""
    found = installed(view, "opencost")
    if found.status != "absent":
        return found
    titles = [title for title in _dashboards(view) if matches(stack().cost_words, title)]
    if titles:
        return Verdict("present", (f"dashboards speak of cost: {named(titles)}",))
    outside = "no OpenCost or Kubecost here; a cloud's cost tool outside the cluster would not show"
    return Verdict("unknown", (outside, *_saas(view)))


def chargeback(view: View) -> Verdict:
    """Return the verdict on chargeback, which is a practice: only dashboards could show it from here."""
    titles = [title for title in _dashboards(view) if matches(stack().chargeback_words, title)]
    if titles:
        return Verdict("present", (f"dashboards speak of it: {named(titles)}",))
    told = ["nothing in a cluster shows whether cost is charged to those who cause it"]
    if "dashboards" in view.facts:
        told.append("no dashboard in a ConfigMap speaks of it")
    if installed(view, "opencost").status == "present":
        told.append("a tool that attributes cost runs")
    return Verdict("unknown", (*told, *_saas(view)))


def _unless_saas(view: View, found: Verdict) -> Verdict:
    """Return the verdict, unless its absence means only that the thing is elsewhere."""
    hosted = _saas(view)
    if found.status != "absent" or not hosted:
        return found
    return Verdict("unknown", (*hosted, "what it collects lies outside the cluster"))


def _saas(view: View) -> tuple[str, ...]:
    record = view.system("saas_monitoring")
    return record.evidence[:1] if record and installed(view, "saas_monitoring").status == "present" else ()


def _dashboards(view: View) -> Iterator[str]:
    """Yield titles and file names of dashboards in ConfigMaps."""
    for item in view.custom("ConfigMap"):
        for path, text in item.fields.items():
            if path.startswith(DASHBOARD):
                yield path.removeprefix(DASHBOARD).removesuffix(".json")
                yield from _titles(text)


def _titles(text: str) -> list[str]:
    import msgspec

    try:
        found = msgspec.json.decode(text).get("titles", [])
    except (msgspec.MsgspecError, ValueError, AttributeError, RecursionError):
        return []
    return [title[:100] for title in found if isinstance(title, str)]
