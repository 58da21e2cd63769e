"""What Notifications does when the board's and the ledger's events reach it."""

from app.events import (
    CorrectionRefused,
    CorrectionRequested,
    PayoutMade,
    TaskAssigned,
    TaskCreated,
    TransferReversed,
)
from app.notifications.commands import tell
from app.outbox.relay import Consumer

CONSUMER = Consumer(
    name="notifications",
    hears=(
        TaskCreated,
        TaskAssigned,
        PayoutMade,
        TransferReversed,
        CorrectionRequested,
        CorrectionRefused,
    ),
    post=tell,
    # It runs beside the posting of money, which waits for whatever transaction is under way.
    batch=500,
    limit_ms=1_000,
)

__all__ = ["CONSUMER"]
