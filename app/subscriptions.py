"""Who hears which event: the whole story on one page.

| event | in the same transaction | after the commit, by the relay |
| --- | --- | --- |
| TaskCreated | | accounting: draws the prices, charges the assign fee |
| TaskAssigned | | accounting: charges the assign fee to the new assignee |
| TaskCompleted | | accounting: credits the completion reward |
| UserRegistered | | |
| EmployeeUnassignable | tasks: hands the open tasks over to others | |
| PayoutMade | | (written by accounting itself, with its transfer) |
| BusinessDayClosed | | |
"""

from __future__ import annotations

from app.accounting.consumer import CONSUMER as ACCOUNTING
from app.events import EmployeeUnassignable, Event
from app.outbox import jobs
from app.outbox.emit import Subscriber, subscribe_same_transaction
from app.outbox.relay import Consumer
from app.tasks.commands import hand_over

SAME_TRANSACTION: dict[type[Event], tuple[Subscriber, ...]] = {
    EmployeeUnassignable: (hand_over,),
}
CONSUMERS: tuple[Consumer, ...] = (ACCOUNTING,)


def subscribe() -> None:
    """Connect the subscribers of both kinds (at start)."""
    subscribe_same_transaction(SAME_TRANSACTION)
    jobs.serve(CONSUMERS)
