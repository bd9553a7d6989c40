"""Facts and typed access to them: GPU models, MIG geometry, prices, metric names, known systems."""
