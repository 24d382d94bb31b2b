"""What SQLite's SQL says (expressions, defaults, views), in PostgreSQL's dialect.  Pure."""
