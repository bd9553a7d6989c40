"""The fabric of one host from sysfs and netlink, without root where possible; the root folder is injectable."""

from gpuaudit.collect.fabric.host import near, read_fabric

__all__ = ["near", "read_fabric"]
