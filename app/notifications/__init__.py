"""Notifications: telling people in the app what was done to their tasks and paid to them."""
