"""Live updates: events and catalogue changes since a model was trained.

`journal` keeps them durably and in order. `overlay` is the state after applying them, by external
id, with `recent_events` for windows of time; `model_overlay` and `catalogue_view` translate it into
the rows of one model, in the immutable form that a ranking takes.

Public: `overlay.Overlay`, `model_overlay.ModelOverlay`, `model_overlay.OverlayView`,
`catalogue_view.CatalogueView`, `catalogue_state.journal_of`.
"""
