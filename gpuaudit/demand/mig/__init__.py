"""GPUs that are cut or shared: what fits, what is free, what is in trouble, what waits."""
