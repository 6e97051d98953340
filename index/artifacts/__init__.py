"""Artifacts: the verified folder that passes from training to serving, and the store of versions.

An artifact is immutable: arrays, an index file and a manifest with the SHA-256 of each file. A
store is a folder of published artifacts and a pointer to the served one. `durable` writes files so
that a crash leaves the old content or the new.

Public: `artifact.Artifact`, `manifest.Manifest`, `store.Store`.
"""
