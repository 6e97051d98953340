"""HTTP: the parts of the protocol that do not depend on what the service answers.

`connections` bounds the time and bytes of each connection, `body_limit` the size of a body;
`compression` packs replies, `methods` answers HEAD and OPTIONS, and `problems` turns errors into
RFC 9457 problem details.

Public: `connections.BoundedProtocol`, `body_limit.BodyLimit`, `compression.Compression`,
`methods.Methods`, `problems.add_error_handlers`, `problems.documented`.
"""
