"""Live updates in a running service: the journal that it writes and the state that it ranks with.

Public: `event_log.EventLog`, `journal_state.JournalState`.
"""
