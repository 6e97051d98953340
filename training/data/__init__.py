"""Data: from files, named data sets and journals to `Interactions` and their splits.

`readers` parse file formats; `rows` checks the rows of a file and `reading` makes `Interactions` of
them; `items` reads titles and other attributes; `catalogue` finds data sets by name; `splits` and
`stable_holdout` hold pairs out of training; `journal_events` merges the events of a journal;
`importing` writes files into a journal.

Public: `interactions.Interactions`, `reading.read_interactions`, `items.read_items`,
`catalogue.load_dataset`, `catalogue.DATASETS`, `splits.make_split`, `validation.validate`.
"""
