"""What one value is.  Pure functions and plain data: no I/O, nothing imported but the standard library."""
