"""How work behaves: failing, stalling, straggling, resting, wasteful, fit to be interrupted."""
