"""What keep-alive policies would have cost, replayed exactly over recorded arrivals."""
