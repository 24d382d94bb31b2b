"""What a column is: measured facts as data, and the judgements made of them.  Pure: no I/O."""
