"""Files that `--input` names: found, told apart by content, read by their kind."""
