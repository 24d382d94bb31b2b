"""One file per place of the wizard."""
