"""One model of a finished run, rendered as HTML and as JSON."""
