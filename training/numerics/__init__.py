"""Numerics: what hash models and teachers compute with, on CPU or GPU.

Ground: `device` (repeatable results, sparse products), `hyperparameters` (checked settings).
Scores: `scorer` (protocols of a fitted teacher), `embeddings`, `factorization` and `factor_forms`
(scores as factors), `item_weights` (linear autoencoders), `top_items` and `ranked_lists` (each
user's best items). Gradients: `bpr_fit`, `losses`, `sampling`, `initial`, `row_adam`. Graphs:
`graph`, `random_walks`, `spectral`. Squares over all pairs: `implicit_squares`.

Public: `device.resolve_device`, `device.deterministic`, `device.generator`,
`hyperparameters.Hyperparameters`, `scorer.Scorer`, `scorer.FoldInScorer`, `scorer.LinearScorer`,
`embeddings.Embeddings`, `factorization.factors_of`, `top_items.top_items`.
"""
