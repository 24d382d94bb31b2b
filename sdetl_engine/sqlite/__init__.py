"""Everything that touches SQLite.  Knows nothing of PostgreSQL, of stages or of screens."""
