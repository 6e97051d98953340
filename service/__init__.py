"""Service: the HTTP service over a store of published models.

`server` starts worker processes, and `app` puts the ASGI application of a worker together:
`routes` validate requests, `answers` rank and cache, `live` keeps events, `versions` follows the
published models, `access` checks keys and rate limits, `http` deals with the protocol, and
`telemetry` records metrics, logs and traces. `doctor` checks a deployment, `load` measures one.

Public: `app.create_app`, `server.serve`, `settings.Settings`.
"""
