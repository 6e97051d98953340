"""Tables of diagnostics for the command line."""

from __future__ import annotations

from typing import Any

from hashrec.training.judging.diagnostics import Diagnostics

Table = tuple[tuple[str, ...], list[tuple[Any, ...]]]


def tables(found: Diagnostics) -> list[Table]:
    """Return columns and rows of each table: bits, lists, tenths of users, tenths of items."""
    bits = [
        (side, use.n_codes, use.n_distinct, use.mean_imbalance,
         f"{use.worst_imbalance:.4f} (bit {use.worst_bit})", use.constant_bits,
         use.mean_correlation, use.max_correlation, f"{use.effective_rank:.1f}")
        for side, use in (("users", found.users), ("items", found.items))
    ]  # fmt: skip
    users = [
        (number, f"{group.least}-{group.most}", group.n_users, group.recall, group.ndcg)
        for number, group in enumerate(found.by_activity, 1)
    ]
    items = [
        (number, f"{group.least}-{group.most}", group.n_held_out,
         "-" if group.recall is None else f"{group.recall:.4f}", group.share_of_lists)
        for number, group in enumerate(found.by_popularity, 1)
    ]  # fmt: skip
    k, ties = found.k, found.ties
    lists = (f"{ties.mean_distance:.1f}", f"{ties.mean_size:.1f}", ties.cut_share, found.gini)
    return [
        (
            ("codes of", "codes", "distinct", "imbalance", "worst", "constant bits",
             "correlation", "largest", "effective rank"),
            bits,
        ),
        ((f"distance at {k}", "items there", "lists cut in a tie", "Gini"), [lists]),
        (("users' tenth", "items in training", "users", f"recall@{k}", f"ndcg@{k}"), users),
        (
            ("items' tenth", "users in training", "held out", f"recall@{k}", "share of lists"),
            items,
        ),
    ]  # fmt: skip
