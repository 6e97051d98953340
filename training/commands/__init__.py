"""Commands that read data and train; their heavy libraries load when a command runs.

`jobs` trains and judges, `data` fetches and checks data sets, `importing` writes files into a
journal, `reproduction` runs the experiments of the paper. `options` has the options of a job and
the setting that each of them gives.

Public: `options.JobOptions`, `options.DATA`.
"""
