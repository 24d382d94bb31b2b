"""Prometheus metrics in a textfile, under the names that monitoring already looks for.

The file is replaced atomically; counters continue from what it held before, so that they never fall.
"""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sdetl_engine.checklist import Stage
from sdetl_engine.files import write_atomically
from sdetl_engine.observe.log import GATES

_GAUGES = {
    "etl_profiler_duration_seconds": "Seconds that the last profile took.",
    "etl_cleaner_duration_seconds": "Seconds that the last cleaning took.",
    "etl_migration_duration_seconds": "Seconds that the last full load took.",
    "etl_quality_score": "Quality score after cleaning, 0 to 100.",
    "etl_disk_space_gb": "Free disk of the workspace in GB.",
    "etl_memory_usage_percent": "Memory of the machine in use, per cent.",
    "etl_last_import_timestamp": "Unix time of the last cutover.",
}
_COUNTERS = {
    "etl_dates_standardized": "Cells whose date was rewritten to ISO.",
    "etl_empty_strings_converted": "Cells whose empty string became NULL.",
    "etl_circuit_breaker_halts": "Runs halted by the circuit breaker.",
}
DURATIONS = {
    Stage.PROFILE: "etl_profiler_duration_seconds",
    Stage.CLEAN: "etl_cleaner_duration_seconds",
    Stage.MIGRATE: "etl_migration_duration_seconds",
}


class Metrics:
    """Set and count, then ``save``.  Labels come from a small fixed set: the gates."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._registry = CollectorRegistry()
        self._gauges = {name: Gauge(name, text, registry=self._registry) for name, text in _GAUGES.items()}
        self._counters = {name: Counter(name, text, registry=self._registry) for name, text in _COUNTERS.items()}
        self._errors = Counter("etl_errors", "Errors by gate.", ["gate"], registry=self._registry)
        for gate in sorted({*GATES.values()}):
            self._errors.labels(gate=gate)
        self._continue()

    def set(self, name: str, value: float) -> None:
        """Set a gauge.  KeyError for a name that monitoring does not know."""
        self._gauges[name].set(value)

    def count(self, name: str, amount: int) -> None:
        """Add to a counter, named without ``_total``."""
        self._counters[name].inc(amount)

    def error(self, stage: Stage) -> None:
        """Count an error at the stage's gate."""
        self._errors.labels(gate=GATES[stage]).inc()

    def save(self) -> None:
        """Replace the textfile.  Raises OSError."""
        write_atomically(self._path, generate_latest(self._registry), mode=0o644)

    def _continue(self) -> None:
        try:
            families = list(text_string_to_metric_families(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return
        for family in families:
            for sample in family.samples:
                if sample.name in self._gauges:
                    self._gauges[sample.name].set(sample.value)
                elif sample.name.removesuffix("_total") in self._counters and sample.name.endswith("_total"):
                    self._counters[sample.name.removesuffix("_total")].inc(sample.value)
                elif sample.name == "etl_errors_total" and sample.labels.get("gate") in GATES.values():
                    self._errors.labels(gate=sample.labels["gate"]).inc(sample.value)
