"""Ranking: from a user, a history or an item to the items to show.

The only ranking path of hashrec. `recommender` answers for one user and applies filters, pages,
diversity, explanations and the fallback to popular items; `bulk` ranks for many users, for the
offline evaluation and for files. Both search and re-rank by the same functions.

Public: `recommender.Recommender`, `recommendation.Options`, `recommendation.Recommendation`,
`bulk.rank_users`, `bulk.rank_histories`, `comparison.compare`.
"""
