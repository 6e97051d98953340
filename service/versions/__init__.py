"""Versions: the served model with its hot swap, and the candidate of an experiment.

Public: `served_models.ServedModels`, `served_models.LoadedModel`, `experiment.Experiment`.
"""
