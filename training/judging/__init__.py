"""Evaluation: metrics of ranked lists on held-out pairs, and diagnostics of codes.

`metrics` defines Recall, NDCG and others of one list; `judgement` averages them over all lists, at
several lengths; `evaluation` does so for codes, teachers, histories and popularity; `artifacts`
judges an artifact as the service ranks it; `bits` and `diagnostics` examine how codes use their
bits, where lists tie, and which users and items are ranked well; `validation_curve` follows a
teacher while it learns.

Public: `metrics.user_metrics`, `judgement.Metrics`, `evaluation.evaluate_codes`,
`evaluation.evaluate_scores`, `artifacts.judge`, `artifacts.examine`, `diagnostics.diagnose`.
"""
