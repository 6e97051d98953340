"""Offline training: from files of interactions to an artifact that the service loads.

`data` reads files and splits interactions; `teachers` are float models; `models` learn binary
codes, most of them from a teacher; `numerics` holds the mathematics that both share; `judging`
evaluates them on held-out pairs; `jobs` runs one training from data to report; `reproduction` runs
the experiments of the paper; `commands` is the command line. Neither `hashrec.index` nor
`hashrec.service` imports it.

Public: `jobs.training.train`, `jobs.retraining.retrain`, `jobs.config.load_config`,
`data.catalogue.load_dataset`, `data.reading.read_interactions`.
"""
