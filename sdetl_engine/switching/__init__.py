"""Which version is live, and for whom: made live and back again by sdetl or by hand, and what was written meanwhile."""
