"""From Kubernetes objects to inventory records: pure functions, no IO."""
