"""Take the objects of one cluster as they come, and make its inventory of them at the end."""
