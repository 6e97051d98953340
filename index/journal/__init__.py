"""Durable, ordered records of events and catalogue changes, behind one protocol."""

from index.journal.journal import Journal
from index.journal.records import Entry, Event, ItemChange, Record

__all__ = ["Entry", "Event", "ItemChange", "Journal", "Record"]
