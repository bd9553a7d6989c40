"""The rows of the serving layer whose systems run inside, or in front of, others."""

from gpuaudit.stack.installed import installed
from gpuaudit.stack.view import Verdict, View, named


def ray_serve(view: View) -> Verdict:
    """Return the verdict on Ray Serve: a RayService shows it; inside a RayCluster it cannot be seen."""
    services = [f"RayService {one.namespace}/{one.name}" for one in view.custom("RayService")]
    found = installed(view, "ray")
    if services and found.status == "present":
        return Verdict("present", (named(services), *found.evidence[:2]), found.version)
    if found.status == "present":
        told = "Ray runs, without a RayService: whether a RayCluster serves is not seen"
        return Verdict("unknown", (told, *found.evidence[:2]), found.version)
    return found


def llm_d(view: View) -> Verdict:
    """Return the verdict on llm-d; its older releases used the Gateway API inference extension's objects."""
    found = installed(view, "llm_d")
    extension = view.system("gateway_api_inference_extension")
    if found.status == "absent" and extension and "image" not in extension.seen:
        told = "the CRDs of the Gateway API inference extension are served; no endpoint picker is running"
        return Verdict("absent", (told, *extension.evidence[:1]))
    return found
