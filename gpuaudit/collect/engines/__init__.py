"""What serving engines say of themselves: from a Prometheus or from files to the snapshot's `served`."""
