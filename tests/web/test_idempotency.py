"""The same POST again has one effect and gets the first answer."""

import threading

import pytest
from sqlalchemy import text

TASKS = text("SELECT count(*) FROM tasks")
KEYS = text("SELECT count(*) FROM idempotency_keys")


@pytest.fixture
def user(make_user):
    return make_user("developer")


@pytest.fixture
def program(api, user):
    return api(user)


def test_the_first_answer_comes_again(program, session):
    first, again = (program.post("/tasks", {"name": "Fix it"}, key="k1") for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.data == again.data
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.content_type == first.content_type
    assert session.execute(TASKS).scalar_one() == 1


def test_another_body_or_address_with_the_key_is_422(program, session):
    program.post("/tasks", {"name": "Fix it"}, key="k1")
    assert program.post("/tasks", {"name": "Fix that"}, key="k1").status_code == 422
    assert program.post("/tasks?x=1", {"name": "Fix it"}, key="k1").status_code == 422
    assert program.post("/tasks/1/completion", key="k1").status_code == 422
    assert session.execute(TASKS).scalar_one() == 1


def test_keys_are_each_users_own(program, api, make_user, session):
    program.post("/tasks", {"name": "Fix it"}, key="k1")
    other = api(make_user("developer")).post("/tasks", {"name": "Fix it"}, key="k1")
    assert other.status_code == 201
    assert "Idempotency-Replayed" not in other.headers
    assert session.execute(TASKS).scalar_one() == 2


def test_without_a_key_each_request_counts(program, session):
    for _ in range(2):
        program.post("/tasks", {"name": "Fix it"})
    assert session.execute(TASKS).scalar_one() == 2


@pytest.mark.parametrize("key", ["x" * 201, "a b", "é", "a\tb"])
def test_a_key_that_is_none(key, program, session):
    answer = program.post("/tasks", {"name": "Fix it"}, key=key)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "#/Idempotency-Key"
    assert session.execute(TASKS).scalar_one() == 0


def test_a_refusal_is_not_kept(program, session):
    assert program.post("/tasks", {"name": ""}, key="k1").status_code == 422
    assert program.post("/tasks", {"name": "Fix it"}, key="k1").status_code == 201
    assert session.execute(KEYS).scalar_one() == 1


def test_completing_again_under_the_key_is_no_conflict(program, session):
    task_id = program.post("/tasks", {"name": "Fix it"}).json["id"]
    first, again = (program.post(f"/tasks/{task_id}/completion", key="k") for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert program.post(f"/tasks/{task_id}/completion", key="other").status_code == 409


def test_fifty_at_once_have_one_effect(app, program, session):
    headers = {"Authorization": f"Bearer {program.token}", "Idempotency-Key": "fifty"}
    ready = threading.Barrier(50)
    answers = []

    def send():
        client = app.test_client(use_cookies=False)
        ready.wait()
        answer = client.post("/api/v1/tasks", json={"name": "Fix it"}, headers=headers)
        answers.append(
            (answer.status_code, answer.headers.get("Idempotency-Replayed"), answer.data)
        )

    threads = [threading.Thread(target=send) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.execute(TASKS).scalar_one() == 1
    assert {status for status, _, _ in answers} <= {201, 409, 503}
    made = [(replayed, body) for status, replayed, body in answers if status == 201]
    assert [replayed for replayed, _ in made].count(None) == 1
    assert len({body for _, body in made}) == 1


def test_one_that_is_under_way_is_a_conflict(program, user, session, settings):
    import sqlalchemy as sa

    engine = sa.create_engine(settings.sqlalchemy_url)
    claim = text("SELECT is_free FROM claim_idempotency_key(:scope, 'busy')")
    with engine.begin() as first:
        assert first.execute(claim, {"scope": f"user {user.id}"}).scalar_one()
        assert program.post("/tasks", {"name": "Fix it"}, key="busy").status_code == 409
    engine.dispose()
    assert program.post("/tasks", {"name": "Fix it"}, key="busy").status_code == 201


def test_a_form_has_its_key_in_a_field(sign_in, user, session):
    browser = sign_in(user)
    form = {"name": "Fix it", "description": "", "idempotency_key": "k1"}
    first, again = (browser.post("/tasks", form) for _ in range(2))
    assert first.status_code == again.status_code == 303
    assert first.location == again.location
    assert again.headers["Idempotency-Replayed"] == "true"
    assert session.execute(TASKS).scalar_one() == 1
    assert browser.post("/tasks", {**form, "name": "Other"}).status_code == 422


def test_the_answer_is_kept_only_if_the_change_was(program, session, owner_url):
    """The two commit together: while the answer cannot be stored, nothing is done."""
    import sqlalchemy as sa

    engine = sa.create_engine(owner_url)
    with engine.begin() as owner:
        owner.execute(text("REVOKE INSERT ON idempotency_keys FROM ates_app"))
    assert program.post("/tasks", {"name": "Fix it"}, key="k1").status_code == 500
    assert session.execute(TASKS).scalar_one() == 0
    with engine.begin() as owner:
        owner.execute(text("GRANT INSERT ON idempotency_keys TO ates_app"))
    engine.dispose()
    assert program.post("/tasks", {"name": "Fix it"}, key="k1").status_code == 201


def test_keys_are_pruned_after_a_day(program, session, owner_url, call):
    import sqlalchemy as sa

    from app.auth import commands

    program.post("/tasks", {"name": "Fix it"}, key="k1")
    assert call(commands.prune_access)["idempotency_keys"] == 0
    engine = sa.create_engine(owner_url)
    with engine.begin() as owner:
        owner.execute(text("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'"))
    engine.dispose()
    assert call(commands.prune_access)["idempotency_keys"] == 1


def test_registering_again_under_a_key(api, session):
    body = {
        "login": "kesha",
        "email": "kesha@ates.example",
        "password": "eleven tulips under a bridge",
        "role": "developer",
    }
    first, again = (api(None).post("/users", body, key="k1") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.data == again.data
    stored = session.execute(text("SELECT row_to_json(k)::text FROM idempotency_keys k")).one()
    assert "tulips" not in stored[0]


def test_a_token_comes_again_though_it_is_not_stored(api, user, session):
    body = {"login": user.login, "password": user.password}
    first, again = (api(None).post("/tokens", body, key="k1") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert session.execute(text("SELECT count(*) FROM api_tokens")).scalar_one() == 1
    kept = session.execute(text("SELECT body FROM idempotency_keys")).scalar_one()
    assert first.json["token"].encode() not in bytes(kept)
    wrong = api(None).post("/tokens", {**body, "password": "wrong"}, key="k1")
    assert wrong.status_code == 401
