"""What a drill is made of: its ground, its readers, its faults.  The recipe is ``stages/drill.py``."""

VICTIM = "sdetl_engine.drilling.victim"
"""The module that runs as the process that is killed."""
VICTIM_IS_LOADING = "loading"
"""The line that it says when rows of its load are in the server."""
