"""The guardian: watches the ledger and the flow of events, and can stop all changes."""
