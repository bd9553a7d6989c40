"""GPUs that nobody holds: free, stranded, reserved, kept for a failure."""
