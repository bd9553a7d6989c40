"""The rows of the orchestration layer that share an API group: Run:ai and the open KAI scheduler."""

from gpuaudit.stack.installed import installed
from gpuaudit.stack.view import Verdict, View

SHARED_GROUP = "scheduling.run.ai"  # of Run:ai and of the open KAI scheduler


def run_ai(view: View) -> Verdict:
    """Return the verdict on Run:ai; queues of scheduling.run.ai are the KAI scheduler's as well and show neither."""
    found = installed(view, "runai")
    kai = view.system("kai")
    if found.status == "absent" and kai and {"custom", "crd"} & set(kai.seen):
        told = f"the CRDs of {SHARED_GROUP}, which KAI brings too, are served; Run:ai is not running"
        return Verdict("absent", (told, *found.evidence[:1]))
    return found


def kai(view: View) -> Verdict:
    """Return the verdict on the KAI scheduler; where Run:ai is, the queues are Run:ai's."""
    found = installed(view, "kai")
    record = view.system("kai")
    if found.status == "absent" and record and view.system("runai"):
        told = f"the CRDs of {SHARED_GROUP} are Run:ai's here; KAI by itself is not running"
        return Verdict("absent", (told, *record.evidence[:1]))
    return found
