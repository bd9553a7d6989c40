"""The published figures: `python -m bench [NAME...]` measures, `--write` renews docs/bench.md."""
