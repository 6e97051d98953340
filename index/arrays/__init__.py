"""Arrays: compact forms of codes, ids and lists that worker processes can share as memory maps.

`codes` packs signs into bits and counts Hamming distances. `ids` maps external ids to rows,
`strings` holds byte strings, `seen` holds lists of item rows in compressed sparse rows, and `npy`
maps array files after a check of their headers. Every class checks arrays that come from a file.

Public: `codes.BinaryCodes`, `ids.IdMap`, `strings.StringArray`, `seen.RowLists`, `seen.SeenItems`,
`npy.map_array`.
"""
