"""What work needs: memory, compute, bandwidth, and the smaller device that would do."""
