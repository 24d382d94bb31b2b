"""The `sdetl` command: the wizard, and the engine's commands without screens."""
