"""Read the path of the metrics from a MonitoringConfig in protobuf's text format."""

from __future__ import annotations

from serving.tf_serving.settings.text_proto import read_text

DEFAULT_PATH = "/monitoring/prometheus/metrics"


def metrics_path(monitoring_config_file: str) -> str:
    """Return the path of the metrics on the REST port, empty if they are off.

    Raises:
        ServingError: the file cannot be read or parsed.
    """
    if not monitoring_config_file:
        return ""
    config = read_text(monitoring_config_file, "monitoring_config_file", "MonitoringConfig").prometheus_config
    return (config.path or DEFAULT_PATH) if config.enable else ""
