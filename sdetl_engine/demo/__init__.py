"""A dirty ServiceDesk database made to measure, and four dashboards for it."""
