"""Work and where it may go: what waits and why, gangs, quotas, budgets, fragments."""
