"""Right-sizing: the bill, who owns it, what can go, and the exact calculators of MIG packing and replay."""
