"""The five dimensions of quality, their receipts and the gate.  Pure: no I/O."""
