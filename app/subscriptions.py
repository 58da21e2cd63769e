"""Who hears which event: the whole story on one page.

| event | in the same transaction | after the commit, by the relay |
| --- | --- | --- |
| TaskCreated | | accounting: draws the prices, charges the assign fee |
| | | notifications: tells the assignee |
| TaskAssigned | | accounting: charges the assign fee to the new assignee |
| | | notifications: tells both assignees, the old one and the new |
| TaskCompleted | | accounting: credits the completion reward |
| UserRegistered | | |
| EmployeeUnassignable | tasks: hands the open tasks over to others | |
| PayoutMade | | (written by accounting itself, with its transfer) |
| | | notifications: tells who was paid |
| TransferReversed | | (written by accounting itself) |
| | | notifications: tells whose it was, and who had asked for it |
| CorrectionRequested | | notifications: tells those who may approve it |
| CorrectionRefused | | notifications: tells who had asked for it |
| BusinessDayClosed | | |

Each consumer has a cursor, transactions and dead letters of its own. Accounting is the first: it
never waits for another one that has much to do, or fails (see app.outbox.jobs).
"""

from __future__ import annotations

from email.message import EmailMessage

from app.accounting.consumer import CONSUMER as ACCOUNTING
from app.events import EmployeeUnassignable, Event
from app.guardian import alerts
from app.kernel import settings
from app.notifications.consumer import CONSUMER as NOTIFICATIONS
from app.outbox import jobs
from app.outbox.emit import Subscriber, subscribe_same_transaction
from app.outbox.relay import Consumer
from app.payments.delivery import DeliveryImpossible, DeliveryRefused, DeliveryUnknown, Postman
from app.tasks.commands import hand_over

SAME_TRANSACTION: dict[type[Event], tuple[Subscriber, ...]] = {
    EmployeeUnassignable: (hand_over,),
}
CONSUMERS: tuple[Consumer, ...] = (ACCOUNTING, NOTIFICATIONS)
ALERT_TIMEOUT_S = 3.0


def subscribe() -> None:
    """Connect the subscribers of both kinds (at start)."""
    subscribe_same_transaction(SAME_TRANSACTION)
    jobs.serve(CONSUMERS)
    alerts.mail_with(_mail_alert)


def _mail_alert(message: EmailMessage) -> None:
    """An alert's mail goes to the server directly, not through a queue that a stop may hold."""
    try:
        with Postman(settings.current(), timeout_s=ALERT_TIMEOUT_S) as postman:
            postman.deliver(message)
    except (DeliveryRefused, DeliveryImpossible, DeliveryUnknown) as error:
        raise alerts.NotTold(str(error)) from error
