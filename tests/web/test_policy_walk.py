"""Every route by every role, and own, foreign and missing rows: REQUIREMENTS.md's table, tested.

The table below is copied by hand from that page. A route that is not in it fails, so that nobody
adds one without deciding who may reach it.
"""

import re

import pytest
from flask import Flask
from sqlalchemy import text

from app.kernel.policy import Role
from app.web import access

EVERYONE = frozenset(Role)
HUMANS = EVERYONE - {Role.INTERNALSERVICE}
ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
BOARD = ADMINISTRATOR | {Role.MANAGER}
ACCOUNTANT = frozenset({Role.ACCOUNTANT})
PAYERS = ACCOUNTANT | {Role.INTERNALSERVICE}
PUBLIC = "public"

TABLE = {
    # register oneself: anyone, while registration is open; sign in and out; what shows no data
    "auth.register": PUBLIC,
    "auth.register_post": PUBLIC,
    "auth.sign_in": PUBLIC,
    "auth.sign_in_post": PUBLIC,
    "auth.sign_out": PUBLIC,
    "auth.invitation": PUBLIC,
    "auth.invitation_post": PUBLIC,
    "auth_api.register_user": PUBLIC,
    "auth_api.auth_user": PUBLIC,
    "web.home": PUBLIC,
    "web.preferences": PUBLIC,
    "web.healthz": PUBLIC,
    "web.readyz": PUBLIC,
    "metrics": PUBLIC,
    "static": PUBLIC,
    "api-docs.openapi_json": PUBLIC,
    "api_docs.page": PUBLIC,
    # one's own session, token and settings
    "auth_api.revoke_token": EVERYONE,
    "auth.settings": HUMANS,
    "auth.set_display": HUMANS,
    "auth.set_digest": HUMANS,
    "auth.change_password": HUMANS,
    "auth.end_session": HUMANS,
    "auth.end_other_sessions": HUMANS,
    "auth.create_token": HUMANS,
    "auth.revoke_token": HUMANS,
    # create a user with any role; change a role; deactivate; reset a password; revoke
    "auth.people": ADMINISTRATOR,
    "auth.create_person": ADMINISTRATOR,
    "auth.person": ADMINISTRATOR,
    "auth.change_role": ADMINISTRATOR,
    "auth.deactivate": ADMINISTRATOR,
    "auth.activate": ADMINISTRATOR,
    "auth.end_access": ADMINISTRATOR,
    "auth.reset_password": ADMINISTRATOR,
    "auth.create_service_token": ADMINISTRATOR,
    # create a task: every signed-in human role
    "tasks.new": HUMANS,
    "tasks.create": HUMANS,
    "tasks_api.create_task": HUMANS,
    # reassign all open tasks; see all tasks and their assignees
    "tasks.all": BOARD,
    "tasks.board_version": BOARD,
    "tasks.reassign": BOARD,
    "tasks.reassign_all": BOARD,
    "tasks.reassignment": BOARD,
    "tasks.reassignments": BOARD,
    # import a backlog
    "tasks.imports": BOARD,
    "tasks.upload": BOARD,
    "tasks.import_": BOARD,
    "tasks.confirm_import": BOARD,
    "tasks.discard_import": BOARD,
    "tasks_api.reassign_tasks": BOARD,
    "tasks_api.show_reassignment": BOARD,
    "tasks_api.show_all_assigned_tasks": BOARD,
    # see one's own tasks; complete a task assigned to oneself
    "tasks.mine": HUMANS,
    "tasks.earnings": HUMANS,
    "tasks.version": HUMANS,
    "tasks.story": HUMANS,
    "tasks.complete": HUMANS,
    "tasks_api.show_my_assigned_tasks": HUMANS,
    "tasks_api.complete_task": HUMANS,
    # see what one was told
    "notifications.mine": HUMANS,
    "notifications.version": HUMANS,
    "notifications.mark_read": HUMANS,
    # see one's own balance, today's earnings, audit log, statements
    "accounting.mine": HUMANS,
    "accounting.mine_version": HUMANS,
    "accounting.mine_csv": HUMANS,
    "accounting.mine_xlsx": HUMANS,
    "accounting_api.show_balance": HUMANS,
    "accounting_api.show_account_transfers": HUMANS,
    # see all transfers, all balances, income per day, payout runs; export them
    "accounting.report": ACCOUNTANT,
    "accounting.balances": ACCOUNTANT,
    "accounting.report_version": ACCOUNTANT,
    "accounting.statement_version": ACCOUNTANT,
    "accounting.report_csv": ACCOUNTANT,
    "accounting.close_day": ACCOUNTANT,
    "accounting.payout_run": ACCOUNTANT,
    "accounting.payout_run_version": ACCOUNTANT,
    "accounting.end_day": ACCOUNTANT,
    "accounting_api.show_all_account_transfers": ACCOUNTANT,
    "accounting.report_xlsx": ACCOUNTANT,
    "accounting.statement": ACCOUNTANT,
    "accounting.statement_csv": ACCOUNTANT,
    "accounting.statement_xlsx": ACCOUNTANT,
    "accounting.transfer": ACCOUNTANT,
    "accounting.reconciliation": ACCOUNTANT,
    "accounting.comparison": ACCOUNTANT,
    "accounting.report_sums": ACCOUNTANT,
    "accounting.exports": ACCOUNTANT,
    "accounting.create_export": ACCOUNTANT,
    "accounting.export": ACCOUNTANT,
    "accounting.export_file": ACCOUNTANT,
    # corrections: asked for by one, approved by another
    "accounting.request_correction": ACCOUNTANT,
    "accounting.corrections": ACCOUNTANT | ADMINISTRATOR,
    "accounting.approve_correction": ACCOUNTANT | ADMINISTRATOR,
    "accounting.refuse_correction": ACCOUNTANT | ADMINISTRATOR,
    "payments.mails": ACCOUNTANT,
    "payments.resend": ACCOUNTANT,
    "payments.resend_unsent": ACCOUNTANT,
    # read the mails that were written into the folder
    "payments.mailbox": ADMINISTRATOR,
    "payments.folder_mail": ADMINISTRATOR,
    "payments.mail_file": ADMINISTRATOR,
    # run pay_to_workers: internalservice, accountant
    "accounting.run_payouts": ACCOUNTANT,
    "accounting_api.pay_to_workers": PAYERS,
    # analytics
    "analytics.index": ADMINISTRATOR,
    "analytics.part": ADMINISTRATOR,
    "analytics_api.today_income": ADMINISTRATOR,
    "analytics_api.negative_balances": ADMINISTRATOR,
    "analytics_api.show_the_most_expensive_task": ADMINISTRATOR,
    # system health, dead letters, emergency stop and resume
    "guardian.health": ADMINISTRATOR,
    "guardian.version": ADMINISTRATOR,
    "guardian.events": ADMINISTRATOR,
    "guardian.event": ADMINISTRATOR,
    "guardian.dead_letters": ADMINISTRATOR,
    "guardian.retry": ADMINISTRATOR,
    "guardian.discard": ADMINISTRATOR,
    "guardian.stop": ADMINISTRATOR,
    "guardian.resume": ADMINISTRATOR,
}
# What stands for each variable of an address. Ids are of rows that are missing.
VARIABLES = {
    "token": "A" * 43,
    "filename": "app.css",
    "day": "2001-01-01",
    "event_id": "00000000-0000-7000-8000-000000000000",
}
MISSING = 999_999


def url_of(rule):
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda m: str(VARIABLES.get(m[1], MISSING)), rule.rule)


def routes_of(app):
    for rule in app.url_map.iter_rules():
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield rule, method


def test_the_table_names_every_route_and_no_other(app):
    assert {rule.endpoint for rule, _ in routes_of(app)} == set(TABLE)


def test_the_policies_in_the_code_say_the_same(app):
    from app.kernel.policy import POLICY

    def allowed(action):
        return PUBLIC if action == access.PUBLIC else POLICY[action]

    # By a page a service never comes, whatever its role allows.
    pages = {name for name in TABLE if not re.search("api", name)}
    for endpoint, action in access.policies(app).items():
        may = allowed(action)
        if endpoint in pages and may != PUBLIC:
            may -= {Role.INTERNALSERVICE}
        assert may == TABLE.get(endpoint), endpoint


@pytest.fixture
def ask(sign_in, api, new_browser):
    """Sends a request as `user`; says its status, 401 when it led to the sign-in page."""

    def ask(user, method, url):
        if url.startswith("/api/"):
            return getattr(api(user), method.lower())(url.removeprefix("/api/v1")).status_code
        browser = sign_in(user) if user else new_browser()
        answer = browser.get(url) if method == "GET" else browser.post(url)
        led_away = answer.status_code in {302, 303} and answer.location.startswith("/sign-in")
        return 401 if led_away else answer.status_code

    return ask


@pytest.mark.parametrize("role", [None, *Role])
def test_each_role_reaches_what_is_its_own_and_nothing_else(role, app, make_user, ask):
    make_user("developer")  # somebody to assign tasks to
    user = make_user(role) if role else None
    reached = {}
    for rule, method in routes_of(app):
        if TABLE.get(rule.endpoint) == PUBLIC:
            continue
        url = url_of(rule)
        status = ask(user, method, url)
        is_nobody = user is None or (role is Role.INTERNALSERVICE and "/api/" not in url)
        assert status < 500, (method, url, status)
        assert status != (403 if is_nobody else 401), (method, url, status)
        reached[rule.endpoint] = status not in {401, 403}
    assert reached == {endpoint: role in TABLE.get(endpoint, ()) for endpoint in reached}


def test_what_is_public_asks_for_nobody(app, new_browser, api):
    for rule, method in routes_of(app):
        if TABLE.get(rule.endpoint) != PUBLIC:
            continue
        url = url_of(rule)
        if url.startswith("/api/v1"):
            status = getattr(api(None), method.lower())(url.removeprefix("/api/v1")).status_code
            assert status in {200, 422}, (method, url, status)
        else:
            browser = new_browser()
            answer = browser.get(url) if method == "GET" else browser.post(url)
            assert answer.status_code in {200, 302, 303, 404, 422}, (method, url)


@pytest.fixture
def objects(make_user, call, session):
    """A developer's own rows, and the same of somebody else."""
    from app.tasks.commands import create_task

    own, other = make_user("developer"), make_user("developer")
    tasks = {}
    while set(tasks) != {own.id, other.id}:
        task = call(create_task, own.actor, name="Fix the gate")
        tasks[task.assigned_to] = task.task_id
    return own, tasks[own.id], tasks[other.id]


@pytest.mark.parametrize("path", ["/tasks/{id}", "/tasks/{id}/completion"])
def test_a_foreign_task_is_as_missing_as_a_missing_one(path, objects, sign_in, api):
    user, own, foreign = objects
    browser = sign_in(user)
    send = browser.post if path.endswith("completion") else browser.get
    for task_id in (foreign, MISSING):
        assert send(path.format(id=task_id)).status_code == 404
        if path.endswith("completion"):
            assert api(user).post(path.format(id=task_id)).status_code == 404
    assert send(path.format(id=own)).status_code in {200, 303}


def test_a_foreign_session_or_token_is_as_missing_as_a_missing_one(
    make_user, sign_in, api, session
):
    user, other = make_user(), make_user()
    browser = sign_in(user)
    sign_in(other)
    api(other)
    number = text("SELECT max(number) FROM sessions WHERE user_id = :id")
    token = text("SELECT max(id) FROM api_tokens WHERE user_id = :id")
    for url, query in (("/settings/sessions", number), ("/settings/tokens", token)):
        foreign = session.execute(query, {"id": other.id}).scalar_one()
        for row_id in (foreign, MISSING):
            assert browser.post(f"{url}/{row_id}").status_code == 404


def test_an_endpoint_without_a_policy_keeps_the_application_from_starting():
    app = Flask(__name__)
    access.init_app(app)
    app.add_url_rule("/open", "open", lambda: "open to everyone")
    with pytest.raises(LookupError, match="open"):
        access.check_policies(app)


def test_what_is_registered_after_the_check_is_refused(make_app, make_user, api):
    app = make_app()
    app.add_url_rule("/api/v1/late", "late", lambda: "late")
    token = api(make_user("administrator")).token
    bearer = {"Authorization": f"Bearer {token}"}
    assert app.test_client().get("/api/v1/late", headers=bearer).status_code == 403


def test_an_action_that_is_not_in_the_table_cannot_be_named():
    with pytest.raises(LookupError):
        access.requires("rule_the_world")
