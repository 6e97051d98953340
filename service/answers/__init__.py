"""Answers: from a request for a list to the bytes of its reply.

`wanted` is the request and its digests, `lists` the kinds of list. `cached_recommender` looks in
the cache tiers, shares the work of equal requests, and ranks; `rendering` makes the JSON.
`envelope` seals cached values, `cursor` the position in a list, `replies` makes status and headers.

Public: `cached_recommender.CachedRecommender`, `wanted.Wanted`, `wanted.ListKind`, `lists.LISTS`,
`answer.Answer`, `cursor.Cursor`.
"""
