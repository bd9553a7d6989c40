"""What devices did: tenures, hours, and what they say of idle and underused."""
