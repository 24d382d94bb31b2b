"""Everything that touches PostgreSQL.  Knows nothing of SQLite connections, of stages or of screens."""
