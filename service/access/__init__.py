"""Access: API keys, their scopes, and rate limits, checked before a request's body is read.

`keys` makes and finds keys, of which the service knows only hashes. `rate_limit` holds the token
buckets, in Redis or in the process. `gate` is the ASGI layer that admits or refuses a request.

Public: `gate.Access`, `gate.Gate`, `gate.require_admin`, `keys.Keyring`, `keys.new_key`,
`rate_limit.RateLimiter`.
"""
