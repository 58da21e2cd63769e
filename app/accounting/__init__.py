"""Accounting: prices, the ledger of transfers, business days and their payouts."""
