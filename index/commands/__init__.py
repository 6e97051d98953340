"""Commands on a store: publish and switch versions, recommend, export; and how commands print.

Each module of commands has an `app` that the command line `hashrec` mounts. `options`, `printing`,
`progress` and `completion` serve the commands of training and of the service too.

Public: `options.StoreOption`, `options.DEFAULT_STORE`, `printing.say`, `printing.print_json`,
`printing.print_table`, `progress.count_bar`, `completion.key_of`.
"""
