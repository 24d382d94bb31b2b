"""From what a source declares, and what was proved of its data, to the plan of a version.  Pure."""
