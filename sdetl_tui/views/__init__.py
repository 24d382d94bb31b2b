"""What each place of the wizard says: pure functions from the engine's results to blocks."""
