"""What others see of a run while it works: log, metrics, rate and ETA, health."""
