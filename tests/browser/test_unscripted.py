"""Without JavaScript no dialog asks: what cannot be undone says so beside its button, and asks."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.visitors import PASSWORD, look_again_until

pytestmark = pytest.mark.browser
# Somebody new, who signs in as the demo company does.
HIRE = """
INSERT INTO users (role, login, email, hash)
SELECT CAST(%s AS user_role), %s, %s || '@ates.example', hash FROM users WHERE login = 'admin'
RETURNING id
"""
RENEW = """(target, select) =>
  htmx.ajax("GET", location.href, {target, select, swap: "outerHTML"})"""


def agree(where: Page | Locator, button: Locator, words: str) -> None:
    """Press the button in vain, then agree to `words` beside it and press it again."""
    page = where.page if isinstance(where, Locator) else where
    address = page.url
    button.click()
    assert page.url == address
    sure = where.get_by_role("checkbox", name=re.compile(words))
    expect(sure).to_be_focused()
    sure.check()
    button.click()


def test_a_day_is_paid_and_closed(visit, rows):
    page = visit("accountant", scripts=False).open("/close-day")
    closed = "SELECT count(*) FROM business_days WHERE status = 'closed'"
    ((before,),) = rows(closed)
    agree(
        page,
        page.get_by_role("button", name=re.compile("^Finish ")),
        "Payouts cannot be taken back",
    )
    expect(page.get_by_role("status").first).to_have_text("The day is closed.")
    assert rows(closed) == [(before + 1,)]


def test_a_correction_is_asked_for_by_one_and_approved_by_another(visit, rows):
    ((transfer,),) = rows(
        "SELECT max(id) FROM account_transfers WHERE kind = 'completion_reward'"
        " AND id NOT IN (SELECT transfer_id FROM corrections)"
    )
    page = visit("accountant", scripts=False).open(f"/transfers/{transfer}")
    page.get_by_label("Reason").fill("Completed by mistake")
    page.get_by_role("button", name="Ask for its reversal").click()
    expect(page.locator("main")).to_contain_text("waits for approval")
    rows(HIRE, "accountant", "auditor", "auditor")
    other = visit("auditor", scripts=False).open("/corrections")
    row = other.locator("tr", has_text="Completed by mistake")
    agree(row, row.get_by_role("button", name="Approve"), "A reversal stays")
    expect(row).to_contain_text("reversed")


def test_a_person_is_deactivated_and_a_role_is_changed_beside_it(visit, rows):
    ((person,),) = rows(HIRE, "developer", "leaver", "leaver")
    page = visit("admin", scripts=False).open(f"/people/{person}")
    page.get_by_role("combobox", name="Role").select_option("other")
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("status").first).to_have_text("The role is changed.")
    agree(page, page.get_by_role("button", name="Deactivate leaver"), "signed out everywhere")
    expect(page.locator(".badge", has_text="deactivated")).to_be_visible()


def test_a_role_that_takes_tasks_away_is_asked_about_by_the_page(visit, busy, rows):
    ((person,),) = rows("SELECT id FROM users WHERE login = %s", busy(2))
    page = visit("admin", scripts=False).open(f"/people/{person}")
    page.get_by_role("combobox", name="Role").select_option("manager")
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("alert").first).to_contain_text("open tasks go to others at once")
    expect(page.get_by_role("combobox", name="Role")).to_have_value("manager")
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("status").first).to_contain_text("open tasks were handed over")


def test_sessions_and_tokens_are_ended_and_a_person_is_deactivated_each_by_its_own_consent(
    visit, rows
):
    ((person,),) = rows(HIRE, "developer", "loser", "loser")
    other = visit()
    other.sign_in("loser")
    page = visit("admin", scripts=False).open(f"/people/{person}")
    agree(page, page.get_by_role("button", name="End sessions"), "needs new ones")
    expect(page.get_by_role("status").first).to_have_text("All sessions and tokens have ended.")
    expect(other.open("/tasks/mine").locator("h1")).to_have_text("Sign-in")
    other.sign_in("loser")
    page = visit("admin").open(f"/people/{person}")
    page.get_by_role("button", name="End sessions").click()
    sure = page.get_by_role("dialog", name="Are you sure?")
    expect(sure).to_contain_text("needs new ones")
    sure.get_by_role("button", name="End sessions").click()
    expect(page.get_by_role("status").first).to_have_text("All sessions and tokens have ended.")
    other.sign_in("loser")
    page = visit("admin", scripts=False).open(f"/people/{person}")
    agree(page, page.get_by_role("button", name="Deactivate loser"), "signed out everywhere.$")
    expect(page.locator(".badge", has_text="deactivated")).to_be_visible()


def test_a_token_is_revoked(visit, rows):
    page = visit("boss", scripts=False).open("/settings")
    page.get_by_label("What it is for").fill("A calendar")
    page.get_by_role("button", name="Make a token").click()
    agree(page, page.get_by_role("button", name="Revoke"), "cannot be brought back")
    expect(page.get_by_text("A calendar")).to_have_count(0)


def test_where_a_script_asks_the_page_does_not(visit):
    """Also in what a swap brought: a field that nobody sees would hold the form back."""
    page = visit("accountant").open("/close-day")
    page.locator("#closing").evaluate(RENEW, "#closing")
    expect(page.locator("#closing")).to_have_count(1)
    assert page.locator("[name=sure]").count() == 0
    page.get_by_role("button", name=re.compile("^Finish ")).click()
    expect(page.get_by_role("dialog")).to_contain_text("Payouts cannot be taken back.")


@pytest.mark.parametrize("scripts", [True, False])
def test_where_the_script_did_not_come_the_page_asks(visit, rows, scripts):
    """As long as nothing is asked, there is nothing to be seen of it where scripts can run."""
    visitor = visit("manager" if scripts else "manager2", scripts=scripts)
    visitor.page.route("**/static/app.js*", lambda route: route.fulfill(status=404))
    page = visitor.open("/settings")
    page.get_by_label("What it is for").fill("A clock")
    page.get_by_role("button", name="Make a token").click()
    label = page.locator("label.sure")
    expect(label).to_have_css("clip-path", "inset(50%)" if scripts else "none")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("checkbox")).to_be_focused()
    expect(label).to_have_css("clip-path", "none")
    live = "SELECT count(*) FROM api_tokens WHERE name = 'A clock' AND revoked_at IS NULL"
    assert rows(live) == [(1,)]
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Revoke").click()
    expect(label).to_have_count(0)
    assert rows(live) == [(0,)]


def test_the_report_is_exported(visit):
    page = visit("accountant", scripts=False).open("/report")
    expect(page.get_by_role("button", name="CSV")).to_be_hidden()
    page.locator("summary", has_text="More").click()
    page.get_by_role("button", name="CSV").click()
    file = page.get_by_role("link", name="Download")
    look_again_until(page, file)
    with page.expect_download() as csv:
        file.click()
    assert csv.value.suggested_filename.endswith(".csv")


def test_changes_are_stopped_and_resumed(visit, system):
    visitor = visit(scripts=False)
    visitor.sign_in("admin")  # a session of its own: the password renews it
    page = visitor.open("/system")
    expect(page.locator("main")).to_contain_text("Refuses every change from now on, for everyone")
    try:
        page.get_by_role("button", name="Stop all changes").click()
        expect(page.get_by_label("Reason")).to_be_focused()  # it asks for both first
        page.get_by_label("Reason").fill("The roof leaks")
        page.get_by_label("Your own password").fill(PASSWORD)
        page.get_by_role("button", name="Stop all changes").click()
        expect(page.get_by_role("heading", name="Resume changes")).to_be_visible()
        page.get_by_label("Reason").fill("The roof is mended")
        page.get_by_label("Your own password").fill(PASSWORD)
        page.get_by_role("button", name="Check everything and resume").click()
        expect(page.get_by_role("heading", name="Emergency stop")).to_be_visible()
    finally:
        system.ates("resume", "--reason", "The test is over")
