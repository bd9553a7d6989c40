"""Live clusters: read through the official client's connections, least rights, bounded in time and memory.

`gpuaudit.collect.live.collect_live` reads every context that the settings name, and what they were measured by.

Only get and list, never Secrets, no writes, no reviews. What is asked for is in knowledge/data/kinds.toml; `generate
rbac` prints it as a role.
"""
