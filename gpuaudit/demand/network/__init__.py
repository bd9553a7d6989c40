"""The network between GPU nodes, and the jobs that need it."""
