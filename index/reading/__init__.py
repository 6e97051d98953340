"""Files as people have them, read into tables: containers, formats, columns, numbers and times.

A file is unpacked (`containers`), its format is detected (`readers`), its columns get roles
(`columns`), and every row is checked and accounted for (`rows`). Interactions, items, events and
lists of users are read this way. It needs polars.

Public: `rows.read_rows`, `rows.GoodRows`, `options.FormatOptions`, `columns.Vocabulary`,
`readers.READERS`.
"""
