"""Model: everything that a training run learned and serving needs, as plain arrays.

Beside the codes of users and items: attributes and categories (`items`), codes for new users and
items (`encoder`, `refiner`), a second ordering of the nearest items (`reranker`), interactions by
item and day (`recent`), and sub-indexes over categories (`subsets`).

Public: `model.Model`, `items.ItemTable`, `encoder.Encoder`, `refiner.UserRefiner`,
`reranker.Reranker`, `recent.RecentCounts`, `recent.RecentItems`, `subsets.Subset`,
`subsets.Subsets`.
"""
