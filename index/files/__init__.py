"""Files: tables of a store's contents for other programs, and lists of users from them.

`exporting` yields items, users, events and codes as columns, `batch` yields the list of every user,
and `tables` writes either as JSON lines, CSV or Parquet. `user_files` reads user ids.

Public: `batch.recommend_all`, `exporting.code_parts`, `exporting.event_parts`,
`exporting.item_parts`, `exporting.user_parts`, `tables.writing_table`, `user_files.read_user_ids`.
"""
