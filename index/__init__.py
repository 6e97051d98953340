"""Index: models, the store of their versions, and ranking; training and service share it.

From the lowest floor up: `arrays` (codes, ids, lists), `backends` (Hamming search), `model` (what
training learned), `artifacts` (models on disk), `live` (events and catalogue changes), `ranking`
(lists for users), `files` (tables in and out), `commands` (the command line). A floor imports only
floors below it, and none imports torch or the web stack.

Public: `artifacts.store.Store`, `artifacts.artifact.Artifact`, `ranking.recommender.Recommender`,
`errors.HashrecError`.
"""
