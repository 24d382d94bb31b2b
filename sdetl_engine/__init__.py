"""sdetl's engine."""
