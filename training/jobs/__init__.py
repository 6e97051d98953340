"""Training jobs: `hashrec train` and `hashrec retrain`.

`training.train` and `retraining.retrain` read from top to bottom: they call the steps in `inputs`
(read, split), `recipe` and `selection` (choose teacher and perplexity), `fitting` (fit, choose how
to re-rank) and `outputs` (write, report). Every step takes one frozen `job.Job`. `checkpoints` and
`resuming` let a killed job go on.

Public: `config.JobConfig`, `config.load_config`, `job.Job`, `training.train`, `retraining.retrain`,
`report.Report`, `report.read_report`.
"""
