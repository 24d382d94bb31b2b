"""Rows on their way: sent by binary COPY, proved by reading them back, compared with the source, or put in quarantine."""
