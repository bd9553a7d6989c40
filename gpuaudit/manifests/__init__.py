"""Kubernetes documents that a person may apply: each checked before it leaves, none of which changes what runs."""

from gpuaudit.manifests.kinds import KINDS, Document, generate
from gpuaudit.manifests.probe import ProbeOptions

__all__ = ["KINDS", "Document", "ProbeOptions", "generate"]
