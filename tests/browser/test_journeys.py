"""What each role comes for, done through the pages."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
REPORT = re.compile("^Accountant.s report$")
SENT_MS = 30_000  # the worker's round of mails, on a machine that has other work
MONEY = re.compile(r"[+\N{MINUS SIGN}]?\$[\d,]+\.\d\d")


def tile(page: Page, label: str) -> str:
    """The figure of a tile."""
    found = page.locator(".tile", has=page.locator("dt", has_text=re.compile(f"^{label}$")))
    return found.locator("dd").first.inner_text()


def test_an_employee_completes_a_task_and_is_paid_for_it(visit, busy):
    login = busy(2)
    page = visit(login).open("/tasks/mine")
    page.evaluate("window.isTheSamePage = true")
    balance, opened = tile(page, "Balance"), int(tile(page, "Open"))
    finished = int(page.locator("#finished-count").inner_text())
    row = page.locator("#tasks tr").first
    name = row.locator(".name").inner_text()
    reward = row.locator("[data-label=Reward]").inner_text()

    row.get_by_role("button", name="Complete").click()

    expect(row).to_have_class(re.compile("done"))
    expect(row.get_by_role("button")).to_have_count(0)
    expect(page.locator("#status")).to_contain_text("Finished: ")
    assert page.evaluate("document.activeElement.matches('[data-complete]')")
    expect(page.locator("#earnings")).not_to_contain_text(balance)
    assert int(tile(page, "Open")) == opened - 1
    expect(page.locator("#open-count")).to_have_text(str(opened - 1))
    expect(page.locator("#finished-count")).to_have_text(str(finished + 1))
    assert page.evaluate("window.isTheSamePage")

    page.get_by_role("link", name="My account").click()
    first = page.locator("table.statement tr[id^=line-]").first
    expect(first).to_contain_text(f"+{reward}")
    assert first.locator(".name").inner_text() in name
    first.locator(".name").click()
    expect(page.locator("h1")).to_have_text(name)
    page.locator("td.num a", has_text="+").click()
    expect(page.locator("tr:target")).to_contain_text(f"+{reward}")


def test_a_task_is_created_in_place(visit):
    page = visit("manager").open("/tasks/mine")
    page.get_by_role("textbox", name="New task").fill("[WEB-9001] Oil the hinges")
    page.get_by_label("Description").fill("All of them.")
    # As a browser has it when somebody makes the field larger.
    page.get_by_label("Description").evaluate("field => (field.style.blockSize = '120px')")
    page.get_by_role("button", name="Create task").click()

    note = page.locator("#new .notice")
    expect(note).to_contain_text("was drawn for Oil the hinges")
    expect(page.get_by_role("textbox", name="New task")).to_have_value("")
    note.get_by_role("link").click()
    expect(page.locator("h1")).to_have_text("WEB-9001 Oil the hinges")
    expect(page.locator("main")).to_contain_text("All of them.")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_manager_searches_the_board_and_reassigns_it(visit, rows):
    page = visit("manager").open("/")
    expect(page).to_have_url(re.compile(r"/tasks$"))
    page.get_by_label("State").select_option("open")
    expect(page).to_have_url(re.compile(r"\?state=open$"))
    page.get_by_role("searchbox", name="Search").fill("gate")
    expect(page).to_have_url(re.compile("q=gate"))
    expect(page.locator("#list tbody tr", has_not_text="gate")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("searchbox", name="Search")).to_have_value("gate")
    expect(page.locator("#list tbody tr", has_not_text="gate")).to_have_count(0)

    ((count,),) = rows("SELECT count(*) FROM tasks WHERE NOT is_finished")
    page.get_by_role("link", name="Reassign all").click()
    expect(page.locator(".tiles")).to_contain_text("Fees")
    page.get_by_role("button", name=f"Reassign {count} tasks").click()
    expect(page.locator("h1")).to_have_text(f"{count} tasks were reassigned")


def test_the_board_goes_on_page_by_page_whatever_is_added_and_finished_meanwhile(visit, busy, rows):
    login = busy(1)
    page = visit("manager").open("/tasks?state=open")
    lines = page.locator("#list tbody:not(.pager) tr")
    expect(lines).to_have_count(50)
    open_then = "SELECT 'line-' || id FROM tasks WHERE NOT is_finished ORDER BY id DESC"
    before = [line for (line,) in rows(open_then)]
    other = visit(login).open("/tasks/mine")
    task = other.locator("#tasks tr").first.get_attribute("id")
    other.locator("[data-complete]").first.click()
    expect(other.locator(f"#{task}")).to_have_class(re.compile("done"))
    other.get_by_role("textbox", name="New task").fill("Added while somebody pages")
    other.get_by_role("button", name="Create task").click()
    expect(other.locator("#new .notice")).to_contain_text("Added while somebody pages")
    for _ in range((len(before) - 1) // 50):
        page.get_by_role("link", name="Load more").click()
        expect(page.locator(".htmx-request")).to_have_count(0)
    shown = lines.evaluate_all("rows => rows.map(r => r.id)")
    finished = task.replace("task", "line")  # shown if it was loaded before it was finished
    assert [line for line in shown if line != finished] == [
        line for line in before if line != finished
    ]


@pytest.mark.parametrize("scripts", [True, False])
def test_what_looks_at_each_transfer_comes_after_its_page(visit, scripts):
    """By itself, each sum in its place; without scripts a link leads to it."""
    page = visit("accountant", scripts=scripts).open("/report")
    page.goto(f"{page.url}?kind=assign_fee")
    expect(page.locator("tr[id^=transfer-]").first).to_be_visible()
    if not scripts:
        page.get_by_role("link", name="Sum it up").click()
    fees = tile(page, "Fees charged")
    assert MONEY.fullmatch(fees)
    expect(page.locator("#income svg.chart-plot")).to_be_visible()
    expect(page.locator("#days tfoot td").first).to_have_text(fees)
    expect(page.locator("#transfer-count")).to_have_text(re.compile("[1-9]"))
    assert page.locator("#income").count() == page.locator("#sums [data-loading]").count() + 1

    page.goto(page.url.partition("/report")[0] + "/reconciliation")
    if not scripts:
        page.get_by_role("link", name="Compare both sides").click()
    expect(page.locator("#check-fees")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("status")).to_be_visible()
    expect(page.locator("[data-loading]")).to_have_count(0)


def test_an_accountant_reports_and_ends_the_day(visit):
    page = visit("accountant").open("/")
    expect(page.locator("h1")).to_have_text(REPORT)
    page.get_by_role("link", name="7 days").click()
    expect(page.locator("[aria-current=true]")).to_have_text("7 days")
    assert MONEY.fullmatch(tile(page, "Company.s income"))
    somebody = page.locator("tr[id^=balance-] a").first
    login = somebody.inner_text()
    somebody.click()
    expect(page.locator("main")).to_contain_text(login)
    page.get_by_role("link", name="Report").first.click()

    page.get_by_role("link", name="Close the day").click()
    to_pay = tile(page, "To be paid")
    page.get_by_role("button", name=re.compile("^Finish ")).click()
    sure = page.get_by_role("dialog", name="Are you sure?")
    expect(sure).to_contain_text("Payouts cannot be taken back.")
    expect(sure.get_by_role("button", name="Cancel")).to_be_focused()
    sure.get_by_role("button", name=re.compile("^Finish ")).click()
    expect(page).to_have_url(re.compile(r"/payouts/\d{4}-\d\d-\d\d$"))
    expect(page.get_by_role("status").first).to_have_text("The day is closed.")
    assert tile(page, "Paid") == to_pay
    people = page.locator("[id^=payout-]").count()
    assert tile(page, "Recipients").split()[0] == str(people)
    mails = f"{people} / {people}"
    expect(page.locator(".tiles")).to_contain_text(mails, timeout=SENT_MS)
    expect(page.locator("[id^=payout-] .badge.good")).to_have_count(people)


def test_an_administrator_reads_analytics(visit):
    page = visit("admin").open("/analytics")
    assert MONEY.fullmatch(tile(page, "Income today"))
    assert int(tile(page, "Balances below zero")) == page.locator("tr[id^=negative-]").count()
    dearest = page.locator(".thirds")
    for period in ("Today", "This week", "This month"):
        expect(dearest.get_by_role("heading", name=period)).to_be_visible()
    table = page.locator(
        ".chart-figure", has=page.get_by_role("img", name=re.compile("Company.s income"))
    )
    table.get_by_text("The same as a table").click()
    expect(table.locator("tbody tr")).to_have_count(30)


def test_an_administrator_looks_after_people(visit):
    page = visit("admin").open("/people")
    page.get_by_text("New person").click()
    page.get_by_label("Login", exact=True).fill("newcomer")
    page.get_by_label("E-mail", exact=True).fill("newcomer@ates.example")
    page.get_by_label("Password").fill("seven-blue-umbrellas-today")
    page.get_by_role("combobox", name="Role").select_option("developer")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("h1")).to_have_text("newcomer")

    page.get_by_role("combobox", name="Role").select_option("manager")
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("status").first).to_have_text("The role is changed.")
    expect(page.get_by_role("combobox", name="Role")).to_have_value("manager")

    page.get_by_role("button", name="Deactivate newcomer").click()
    page.get_by_role("dialog").get_by_role("button", name="Deactivate newcomer").click()
    expect(page.locator(".badge", has_text="deactivated")).to_be_visible()
    page.get_by_role("link", name="All people").click()
    page.get_by_role("searchbox", name="Search").fill("newcomer")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_role_that_takes_tasks_away_is_asked_about_first(visit, busy, rows):
    ((person,),) = rows("SELECT id FROM users WHERE login = %s", busy(2))
    page = visit("admin").open(f"/people/{person}")
    page.get_by_role("combobox", name="Role").select_option("boss")
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("status").first).to_have_text("The role is changed.")
    page.get_by_role("combobox", name="Role").select_option("manager")
    page.get_by_role("button", name="Change the role").click()
    sure = page.get_by_role("dialog", name="Are you sure?")
    expect(sure).to_contain_text("open tasks go to others at once")
    sure.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("status").first).to_contain_text("open tasks were handed over")
    expect(page.get_by_role("combobox", name="Role")).to_have_value("manager")


def test_a_correction_is_refused_by_its_approver_with_a_reason(visit, rows):
    ((transfer,),) = rows(
        "SELECT min(id) FROM account_transfers WHERE kind = 'completion_reward'"
        " AND id NOT IN (SELECT transfer_id FROM corrections)"
    )
    page = visit("accountant").open(f"/transfers/{transfer}")
    page.get_by_label("Reason").fill("A dialog to look at")
    page.get_by_role("button", name="Ask for its reversal").click()
    expect(page.locator("main")).to_contain_text("waits for approval")
    page = visit("admin").open("/analytics")
    page.get_by_role("link", name=re.compile("Corrections.*waiting for you")).click()
    row = page.locator("tr", has_text="A dialog to look at")
    row.get_by_role("button", name="Approve").click()
    sure = page.get_by_role("dialog", name="Are you sure?")
    expect(sure.locator("[value=yes]")).to_have_text("Approve the correction")
    sure.get_by_role("button", name="Cancel").click()
    row.locator("summary", has_text="Refuse").click()
    row.get_by_label("Why (accountant reads it)").fill("It was right")
    row.get_by_role("button", name="Refuse the correction").click()
    expect(row).to_contain_text("refused")
    expect(row).to_contain_text("admin: It was right")


def test_one_click_signs_in_to_the_demo_company(visit):
    page = visit().open("/sign-in")
    page.get_by_role("button", name=re.compile("^accountant")).click()
    expect(page.locator("h1")).to_have_text(REPORT)
    page.locator("summary", has_text="accountant").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("Sign-in")


def test_language_and_theme_are_kept(visit):
    page = visit().open("/sign-in")
    page.get_by_role("button", name="Русский").click()
    expect(page.locator("h1")).to_have_text("Вход")
    page.get_by_role("button", name="Тёмное").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.wait_for_load_state("networkidle")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("lang", "ru")


def test_a_story_leads_to_its_transfers_and_back(visit, rows):
    ((task,),) = rows("SELECT max(task_id) FROM logs WHERE type = 'complete'")
    page = visit("accountant").open(f"/tasks/{task}")
    name = page.locator("h1").inner_text()
    page.locator("td.num a", has_text="+").click()
    expect(page).to_have_url(re.compile(r"/transfers/\d+$"))
    page.locator("main a[href^='/tasks/']").first.click()
    expect(page.locator("h1")).to_have_text(name)
