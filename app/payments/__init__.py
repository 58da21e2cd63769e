"""Payments: telling each employee by mail what they were paid."""
