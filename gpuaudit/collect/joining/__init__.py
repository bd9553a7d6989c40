"""What several sources say of one machine, pod or cluster becomes one record."""
