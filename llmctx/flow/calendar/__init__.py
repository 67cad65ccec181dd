"""Calendars: when an exchange is open on a date.

session (what a calendar says of one date), own (the exchanges that the core knows), library (all others, from
exchange_calendars). `llmctx.flow.exchange` picks one by the exchange's name.
"""
