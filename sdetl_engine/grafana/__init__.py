"""Dashboards: as files, as queries, and behind Grafana's HTTP API."""
