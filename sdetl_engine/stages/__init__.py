"""One file per stage, each a recipe that reads top to bottom.  No stage imports another."""
