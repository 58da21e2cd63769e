"""What administrators do to accounts."""

import threading

import pytest
from sqlalchemy import text

from app.auth import commands
from app.kernel.errors import AtesError, BadInput, Conflict, Forbidden, NotFound

ROLES = text("SELECT role::text FROM users WHERE id = :id")
TASKS = text("SELECT assigned_to FROM tasks WHERE NOT is_finished")
GOOD = {
    "login": "kesha",
    "email": "kesha@ates.example",
    "password": "eleven tulips under a bridge",
}


@pytest.fixture
def role_of(session):
    return lambda user: session.execute(ROLES, {"id": user.id}).scalar_one()


@pytest.fixture
def give_task(call):
    def give_task(manager):
        from app.tasks.commands import create_task

        return call(create_task, manager.actor, name="Fix the gate")

    return give_task


def test_an_administrator_makes_an_account_of_any_role(sign_in, make_user, session):
    admin = sign_in(make_user("administrator"))
    answer = admin.post("/people", {**GOOD, "role": "boss"})
    assert answer.status_code == 303
    row = session.execute(text("SELECT id, role::text FROM users WHERE login = 'kesha'")).one()
    assert row.role == "boss"
    assert answer.location == f"/people/{row.id}"
    assert "kesha" in admin.get(answer.location).text


def test_a_service_has_no_password(call, make_user, session):
    admin = make_user("administrator")
    service = {"login": "payments", "email": "p@ates.example", "role": "internalservice"}
    with pytest.raises(BadInput) as refused:
        call(commands.create_user, admin.actor, **service, password=GOOD["password"])
    assert set(refused.value.fields) == {"password"}
    user_id = call(commands.create_user, admin.actor, **service)
    assert session.execute(
        text("SELECT hash FROM users WHERE id = :id"), {"id": user_id}
    ).one() == (None,)


@pytest.mark.parametrize("role", ["manager", "developer", "boss", "accountant", "other"])
def test_nobody_else_manages_people(role, call, make_user, role_of):
    actor, user = make_user(role).actor, make_user("developer")
    attempts = [
        lambda: call(commands.create_user, actor, **GOOD, role="other"),
        lambda: call(commands.change_role, actor, user_id=user.id, role="boss"),
        lambda: call(commands.set_active, actor, user_id=user.id, is_active=False),
        lambda: call(commands.invite_to_reset_password, actor, user_id=user.id),
        lambda: call(commands.end_access_of, actor, user_id=user.id),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden):
            attempt()
    assert role_of(user) == "developer"


def test_who_can_no_longer_be_assigned_hands_over_open_tasks(call, make_user, give_task, session):
    admin, manager, leaver = (
        make_user("administrator"),
        make_user("manager"),
        make_user("developer"),
    )
    for _ in range(5):
        give_task(manager)
    stayer = make_user("other")
    call(commands.change_role, admin.actor, user_id=leaver.id, role="manager")
    assert set(session.execute(TASKS).scalars()) == {stayer.id}
    told = session.execute(
        text("SELECT type, count(*) FROM outbox WHERE user_id = :id GROUP BY 1"), {"id": stayer.id}
    ).all()
    assert ("TaskAssigned", 5) in [tuple(row) for row in told]


def test_deactivation_hands_over_too(sign_in, make_user, give_task, session):
    admin = sign_in(make_user("administrator"))
    manager, leaver = make_user("manager"), make_user("developer")
    give_task(manager)
    stayer = make_user("other")
    assert admin.post(f"/people/{leaver.id}/deactivation").status_code == 303
    assert session.execute(TASKS).scalars().all() == [stayer.id]
    assert "deactivated" in admin.get("/people").text


def test_when_nobody_can_take_the_tasks_over_nothing_changes(
    sign_in, make_user, give_task, session, role_of
):
    admin = sign_in(make_user("administrator"))
    manager, leaver = make_user("manager"), make_user("developer")
    give_task(manager)
    answer = admin.post(f"/people/{leaver.id}/role", {"role": "manager", "is_sure": "yes"})
    assert answer.status_code == 409
    assert role_of(leaver) == "developer"
    assert session.execute(TASKS).scalars().all() == [leaver.id]


def test_between_assignable_roles_nothing_is_handed_over(call, make_user, give_task, session):
    admin, manager, user = make_user("administrator"), make_user("manager"), make_user("developer")
    give_task(manager)
    make_user("other")
    call(commands.change_role, admin.actor, user_id=user.id, role="boss")
    assert session.execute(TASKS).scalars().all() == [user.id]


def test_a_role_that_takes_tasks_away_is_asked_about_first(
    sign_in, make_user, give_task, session, role_of
):
    admin = sign_in(make_user("administrator"))
    manager, leaver = make_user("manager"), make_user("developer")
    for _ in range(3):
        give_task(manager)
    make_user("other")
    url = f"/people/{leaver.id}"
    assert 'data-confirm-if="role=administrator role=manager "' in admin.get(url).text
    answer = admin.post(f"{url}/role", {"role": "manager"})
    assert (answer.status_code, answer.location) == (303, f"{url}?role=manager")
    assert role_of(leaver) == "developer"
    page = admin.get(answer.location).text
    assert "3 open tasks go to others at once, and each of them is charged" in page
    assert 'value="manager" selected' in page
    assert 'name="is_sure" value="yes"' in page
    answer = admin.post(f"{url}/role", {"role": "manager", "is_sure": "yes"}, follow_redirects=True)
    assert "The role is changed. 3 open tasks were handed over to others." in answer.text
    assert role_of(leaver) == "manager"
    assert leaver.id not in session.execute(TASKS).scalars()


def test_a_role_that_moves_nothing_is_not_asked_about(sign_in, make_user, give_task, role_of):
    admin = sign_in(make_user("administrator"))
    manager, busy, idle = make_user("manager"), make_user("developer"), make_user("manager")
    give_task(manager)
    for person, role in ((busy, "boss"), (idle, "administrator")):
        url = f"/people/{person.id}"
        assert "open tasks go to others" not in admin.get(f"{url}?role={role}").text
        answer = admin.post(f"{url}/role", {"role": role}, follow_redirects=True)
        assert "The role is changed.</p>" in answer.text
        assert role_of(person) == role
    again = admin.post(f"/people/{busy.id}/role", {"role": "boss"}, follow_redirects=True)
    assert "Nothing was changed" in again.text
    assert "The role is changed" not in again.text


def test_deactivating_says_how_many_tasks_were_handed_over(sign_in, make_user, give_task):
    admin = sign_in(make_user("administrator"))
    manager, leaver = make_user("manager"), make_user("developer")
    give_task(manager)
    make_user("other")
    url = f"/people/{leaver.id}"
    gone = admin.post(f"{url}/deactivation", follow_redirects=True).text
    assert "The account is deactivated. One open task was handed over to someone else." in gone
    assert "Activate</h2>" in gone
    assert (
        "The account is activated.</p>"
        in admin.post(f"{url}/activation", follow_redirects=True).text
    )


def test_nobody_changes_themselves(sign_in, make_user, role_of):
    admin, other = make_user("administrator"), make_user("administrator")
    browser = sign_in(admin)
    assert browser.post(f"/people/{admin.id}/role", {"role": "boss"}).status_code == 409
    assert browser.post(f"/people/{admin.id}/deactivation").status_code == 409
    assert role_of(admin) == role_of(other) == "administrator"


def test_the_last_administrator_stays(call, make_user, role_of):
    admin = make_user("administrator")
    with pytest.raises(Conflict):
        call(commands.change_role, None, user_id=admin.id, role="boss")
    with pytest.raises(Conflict):
        call(commands.set_active, None, user_id=admin.id, is_active=False)
    assert role_of(admin) == "administrator"


def test_two_administrators_cannot_remove_each_other_at_once(app, make_user, session):
    first, second = make_user("administrator"), make_user("administrator")
    outcomes = []
    ready = threading.Barrier(2)

    def remove(actor, victim):
        with app.app_context():
            ready.wait()
            try:
                commands.change_role(actor.actor, user_id=victim.id, role="boss")
            except AtesError as error:
                outcomes.append(type(error))
            else:
                outcomes.append(None)

    threads = [
        threading.Thread(target=remove, args=pair) for pair in ((first, second), (second, first))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes, key=str) == sorted([Conflict, None], key=str)
    left = text("SELECT count(*) FROM users WHERE role = 'administrator'")
    assert session.execute(left).scalar_one() == 1


def test_people_and_services_stay_what_they_are(call, make_user):
    admin, service, user = make_user("administrator"), make_user("internalservice"), make_user()
    with pytest.raises(Conflict):
        call(commands.change_role, admin.actor, user_id=service.id, role="administrator")
    with pytest.raises(Conflict):
        call(commands.change_role, admin.actor, user_id=user.id, role="internalservice")


def test_a_missing_person_is_not_found(call, sign_in, make_user):
    admin = make_user("administrator")
    with pytest.raises(NotFound):
        call(commands.change_role, admin.actor, user_id=999_999, role="boss")
    browser = sign_in(admin)
    for url in ("/people/999999", f"/people/{10**30}"):
        assert browser.get(url).status_code == 404
    assert browser.post("/people/999999/access").status_code == 404


def test_a_change_asks_for_the_password_when_it_was_given_long_ago(
    sign_in, make_user, session, role_of
):
    admin, user = make_user("administrator"), make_user("developer")
    browser = sign_in(admin)
    session.execute(text("UPDATE sessions SET authenticated_at = now() - interval '11 minutes'"))
    url, change = f"/people/{user.id}/role", {"role": "boss"}
    assert browser.post(url, change).status_code == 422
    assert role_of(user) == "developer"
    assert browser.post(url, {**change, "own_password": admin.password}).status_code == 303
    assert role_of(user) == "boss"


def test_each_change_is_in_the_audit_log(sign_in, make_user, session):
    admin, user = make_user("administrator"), make_user("developer")
    make_user("developer")
    browser = sign_in(admin)
    browser.post(f"/people/{user.id}/role", {"role": "boss"})
    browser.post(f"/people/{user.id}/deactivation")
    lines = session.execute(
        text("""SELECT action, result, actor_id, subject_id, host(ip) AS ip,
                       length(request_id) AS n, details FROM audit_log
                WHERE subject_id = :id ORDER BY id"""),
        {"id": user.id},
    ).all()
    assert [line[:6] for line in lines] == [
        ("change_role", "done", admin.id, user.id, "127.0.0.1", 16),
        ("deactivate", "done", admin.id, user.id, "127.0.0.1", 16),
    ]
    assert lines[0].details == {"from": "developer", "to": "boss"}


def test_a_denial_is_in_the_audit_log(sign_in, make_user, session):
    user = make_user("developer")
    assert sign_in(user).get("/people").status_code == 403
    line = session.execute(text("SELECT * FROM audit_log ORDER BY id DESC LIMIT 1")).one()
    assert (line.action, line.result, line.actor_id) == ("request", "refused", user.id)
    assert line.details == {"endpoint": "auth.people", "method": "GET"}


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"],
)
def test_the_audit_log_is_append_only_for_app_and_owner(
    statement, session, owner_url, make_user, sign_in
):
    import sqlalchemy as sa

    sign_in(make_user())
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        session.execute(text(statement))
    session.rollback()
    engine = sa.create_engine(owner_url)
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), engine.begin() as owner:
        owner.execute(text(statement))
    engine.dispose()


def test_the_list_is_paged_by_login_and_searched(sign_in, make_user):
    admin = sign_in(make_user("administrator", "zz-admin"))
    for number in range(60):
        make_user("developer", f"dev{number:02}")
    first = admin.get("/people")
    assert first.text.count('id="person-') == 50
    assert "dev49" in first.text
    assert "dev50" not in first.text
    rest = admin.get("/people?cursor=dev49", htmx=True)
    assert rest.text.count('id="person-') == 11
    assert "<html" not in rest.text
    assert admin.get("/people?q=DEV1").text.count('id="person-') == 10
    assert admin.get("/people?q=%25").text.count('id="person-') == 0
