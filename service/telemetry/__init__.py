"""Telemetry: logs, metrics and traces of a worker process, and whether it is about to end.

`request_observer` is the outermost ASGI layer; it gives each request an id and records its end in
`metrics` and the log (`logs`). `spans` is the interface by which other modules record spans;
`tracing` sends them to a collector and is imported only if one is configured. `draining` keeps the
process answering for some seconds after SIGTERM.

Public: `metrics.Metrics`, `request_observer.RequestObserver`, `spans.Spans`, `logs.configure`,
`draining.Draining`.
"""
