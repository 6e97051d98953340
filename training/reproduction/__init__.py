"""`hashrec reproduce`: the tables, figures and sweeps of the paper, run again.

`methods` lists data sets, methods, grids and sweeps; `planning` turns a request into runs;
`reproducing` makes the runs that are not finished, each in its own process (`process`,
`performing`), and `store` keeps their results; `reporting`, `markdown` and `drawing` present them.

Public: `reproducing.Request`, `reproducing.reproduce`, `performing.perform`, `methods.METHODS`,
`methods.PROTOCOLS`.
"""
