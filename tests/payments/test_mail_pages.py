"""The pages and the command where mails are seen and sent again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from app.kernel.errors import Conflict, Forbidden, NotFound
from app.payments import commands, queries
from tests.company import Company
from tests.payments.conftest import Temper

STATE = "SELECT state::text FROM emails WHERE id = :id"


def test_accountants_see_every_state(
    company: Company, paid: Any, sign_in: Any, make_user: Callable[..., Any]
) -> None:
    paid(5)
    company.rows(
        "UPDATE emails SET state = (enum_range(NULL::email_state))[1 + id % 5],"
        " leased_until = CASE id % 5 WHEN 1 THEN now() END,"
        " sent_at = CASE id % 5 WHEN 2 THEN now() END, last_error = 'because ' || id RETURNING id"
    )
    page = sign_in(make_user("accountant")).get("/mail").get_data(as_text=True)
    for word in ("queued", "sending", "sent", "failed", "not known", "because 3"):
        assert word in page
    assert page.count("/delivery") == 4, "one that is being sent cannot be sent again"


def test_the_mails_of_each_state_are_counted_those_that_are_sent_up_to_a_bound(
    company: Company, paid: Any, sign_in: Any, make_user: Callable[..., Any], monkeypatch: Any
) -> None:
    paid(3)
    company.call(commands.send_due_mail)
    company.rows("UPDATE emails SET state = 'failed', sent_at = NULL WHERE id = 1 RETURNING id")
    browser = sign_in(make_user("accountant"))

    def shown() -> list[str]:
        page = browser.get("/mail").text
        return re.findall(r"&nbsp;([\d,+]+)</a>", page)

    every, queued, sending, sent, failed, unknown = shown()
    assert (queued, sending, failed, unknown) == ("0", "0", "1", "0")
    assert int(every) == int(sent) + 1
    assert int(sent) == company.value("SELECT count(*) FROM emails WHERE state = 'sent'") >= 2
    monkeypatch.setattr(queries, "COUNTED_MAX", int(sent))
    assert shown()[3] == sent
    monkeypatch.setattr(queries, "COUNTED_MAX", int(sent) - 1)
    assert shown()[3] == f"{int(sent) - 1}+"
    assert shown()[0] == f"{sent}+"


def test_a_failed_mail_is_sent_again_by_hand(
    company: Company, mail_server: Any, paid: Any, sign_in: Any, make_user: Callable[..., Any]
) -> None:
    server = mail_server(Temper(rcpt="550 no such mailbox"))
    paid()
    company.call(commands.send_due_mail)
    email_id = company.value("SELECT id FROM emails")
    server.temper.rcpt = "250 OK"
    browser = sign_in(make_user("accountant"))
    answer = browser.post(f"/mail/{email_id}/delivery")
    assert (answer.status_code, answer.location) == (303, "/mail")
    assert company.call(commands.send_due_mail) == 1
    assert company.value(STATE, id=email_id) == "sent"
    assert company.value("SELECT count(*) FROM audit_log WHERE action = 'resend_mail'") == 1


def test_all_unsent_are_sent_again(
    company: Company, paid: Any, sign_in: Any, make_user: Callable[..., Any]
) -> None:
    paid(3)
    company.rows("UPDATE emails SET state = 'failed', attempts = 8 WHERE id > 1 RETURNING id")
    assert sign_in(make_user("accountant")).post("/mail/deliveries").status_code == 303
    assert company.value("SELECT count(*) FROM emails WHERE state = 'queued'") == 3
    assert company.call(commands.send_due_mail) == 3


def test_sending_again_is_refused(company: Company, paid: Any, make_user: Any) -> None:
    paid()
    accountant = make_user("accountant").actor
    with pytest.raises(NotFound):
        company.call(commands.resend, accountant, 999)
    with pytest.raises(Forbidden):
        company.call(commands.resend, make_user("administrator").actor, 1)
    company.rows("UPDATE emails SET state = 'sending', leased_until = now() RETURNING id")
    with pytest.raises(Conflict):
        company.call(commands.resend, accountant, company.value("SELECT id FROM emails"))


def test_the_command_lists_and_sends_again(
    company: Company, paid: Any, app: Flask, make_user: Any
) -> None:
    paid()
    make_user("accountant")
    company.rows("UPDATE emails SET state = 'unknown', last_error = 'lost' RETURNING id")
    run = app.test_cli_runner().invoke
    assert "unknown payout" in run(args=["mail", "list"]).output
    assert run(args=["mail", "resend", "--unsent"]).output == "1 mails queued\n"
    assert "1 mails sent" in run(args=["mail", "send"]).output.splitlines()
    email_id = company.value("SELECT id FROM emails")
    assert run(args=["mail", "resend", str(email_id)]).output == "queued\n"
    assert run(args=["mail", "resend", "999"]).exit_code == 1
    assert run(args=["mail", "resend"]).exit_code == 2


def test_administrators_read_the_folder(
    company: Company, paid: Any, sign_in: Any, make_user: Callable[..., Any]
) -> None:
    [person] = paid()
    company.call(commands.send_due_mail)
    browser = sign_in(make_user("administrator"))
    name = company.value("SELECT message_id FROM emails").strip("<>") + ".eml"
    assert f"/mailbox/{name}" in browser.get("/mailbox").get_data(as_text=True)
    mail = browser.get(f"/mailbox/{name}").get_data(as_text=True)
    assert "was paid out" in mail
    assert "Feed &lt;the&gt; {bird}" in mail
    file = browser.get(f"/mailbox/{name}/file")
    assert file.mimetype == "message/rfc822"
    assert f"{person.login}@ates.test" in file.get_data(as_text=True)
    for other in ("../secret.eml", "..%2Fsecret.eml", ".hidden.eml", "x.txt", "none.eml"):
        assert browser.get(f"/mailbox/{other}").status_code == 404
    assert sign_in(make_user("accountant")).get("/mailbox").status_code == 403
