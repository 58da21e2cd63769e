"""Who pages through the ledger while it grows sees what was there, each line once, in its order."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from app.accounting import commands
from app.accounting.queries import PAGE
from app.tasks import commands as tasks
from app.tasks.models import Draft
from tests.company import Company
from tests.reports.conftest import MONDAY

ROW = re.compile(r'id="(?:line|transfer)-(\d+)"')
MORE = re.compile(r'hx-get="([^"]*[?&;]cursor=[^"]*)"')
NEWEST_FIRST = """
SELECT t.id FROM account_transfers t JOIN accounts a ON a.id = t.owner_account_id
WHERE :of_all OR a.user_id = :user_id ORDER BY t.business_day DESC, t.id DESC
"""


class Busy:
    """A company of one developer, who finishes all that is drawn for them."""

    def __init__(self, company: Company, make_user: Callable[..., Any]) -> None:
        self.company = company
        self.person, self.manager = make_user("developer", "solo"), make_user("manager")
        company.at(MONDAY)
        self.work(PAGE)
        self.accountant, self.approver = make_user("accountant"), make_user("administrator")
        company.at(MONDAY + timedelta(days=1))
        company.call(commands.pay_to_workers, self.accountant.actor, business_day=MONDAY.date())
        self.work(PAGE)

    def work(self, count: int) -> None:
        """So many tasks, and what comes of them in the ledger."""
        drafts = [Draft(f"Feed bird {number}") for number in range(count)]
        for task in self.company.call(tasks.create_tasks, self.manager.actor, drafts):
            owner = self.company.value(
                "SELECT assigned_to FROM tasks WHERE id = :id", id=task.task_id
            )
            if owner == self.person.id:
                self.company.call(tasks.complete_task, self.person.actor, task.task_id)
        self.company.post()

    def correct(self, transfer_id: int) -> None:
        """Reverse a transfer that was paged over already, or will be."""
        asked = self.company.call(
            commands.request_correction, self.accountant.actor, transfer_id, reason="Wrong"
        )
        self.company.call(commands.approve_correction, self.approver.actor, asked.id)


@pytest.mark.parametrize(("url", "reader"), [("/report", "accountant"), ("/account", "person")])
def test_lines_that_come_meanwhile_move_nothing(
    company: Company,
    make_user: Callable[..., Any],
    sign_in: Callable[..., Any],
    url: str,
    reader: str,
) -> None:
    busy = Busy(company, make_user)
    names = {"of_all": url == "/report", "user_id": busy.person.id}
    before = [row.id for row in company.rows(NEWEST_FIRST, **names)]
    browser = sign_in(getattr(busy, reader))
    seen, corrected = list[int](), set[int]()
    pages = 0
    while url:
        page = browser.get(url, htmx=pages > 0).text
        seen += [int(line) for line in ROW.findall(page)]
        more = MORE.search(page)
        url = unescape(more[1]) if more else ""
        busy.work(3)
        wrong = {before[pages * PAGE], before[-1 - pages]} - corrected
        for transfer_id in wrong:
            busy.correct(transfer_id)
        corrected |= wrong
        pages += 1
    assert seen == before
    assert pages > 2
    assert len(company.rows(NEWEST_FIRST, **names)) > len(before) + 2 * pages
