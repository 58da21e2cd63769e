"""How often one may try. Redis is away in all of these tests."""

import pytest
from sqlalchemy import text

from app.auth import commands
from app.kernel.errors import TooManyRequests

WRONG = "wrong wrong wrong wrong"


@pytest.fixture
def guess(api):
    program = api(None)

    def guess(login, password=WRONG):
        return program.post("/tokens", {"login": login, "password": password})

    return guess


def test_an_account_takes_ten_wrong_passwords_then_says_when_to_come_back(guess, make_user):
    user = make_user()
    assert [guess(user.login).status_code for _ in range(10)] == [401] * 10
    answer = guess(user.login, user.password)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 900
    assert answer.json["title"] == "Too many attempts"
    assert guess(make_user().login, user.password).status_code == 201


def test_an_unknown_login_is_counted_alike(guess):
    assert [guess("nobody").status_code for _ in range(11)] == [401] * 10 + [429]


def test_nobody_is_locked_out_for_good(guess, make_user, session):
    user = make_user()
    for _ in range(12):
        guess(user.login)
    session.execute(text("UPDATE throttle_counters SET ends_at = now() - interval '1 second'"))
    assert guess(user.login, user.password).status_code == 201


def test_waiting_is_not_prolonged_by_trying(guess, make_user, session):
    user = make_user()
    for _ in range(11):
        guess(user.login)
    ends = text("SELECT max(ends_at) FROM throttle_counters")
    before = session.execute(ends).scalar_one()
    guess(user.login)
    assert session.execute(ends).scalar_one() == before


def test_a_right_password_forgives_the_wrong_ones_of_its_account(guess, make_user):
    user = make_user()
    for _ in range(3):
        assert [guess(user.login).status_code for _ in range(4)] == [401] * 4
        assert guess(user.login, user.password).status_code == 201


def test_an_address_is_counted_over_all_accounts(call, app, session, monkeypatch):
    from app.auth import throttle

    tight = throttle.Limit("sign_in_address", 3, 900)
    monkeypatch.setattr(throttle, "SIGN_IN_ADDRESS", tight)
    for number in range(3):
        with pytest.raises(commands.WrongCredentials):
            call(commands.verify_credentials, login=f"nobody{number}", password=WRONG)
    with pytest.raises(TooManyRequests):
        call(commands.verify_credentials, login="nobody9", password=WRONG)


def test_an_ipv6_client_is_its_network():
    from app.auth import throttle
    from app.kernel import audit

    addresses = {"2001:db8::1": "2001:db8::/64", "2001:db8:0:0:ffff::2": "2001:db8::/64"}
    for ip, network in addresses.items():
        token = audit.origin.set(audit.Origin(ip))
        try:
            assert throttle._address() == network
        finally:
            audit.origin.reset(token)


def test_what_was_typed_as_a_login_is_not_stored(guess, session):
    guess("my secret typed into the wrong field")
    stored = session.execute(text("SELECT row_to_json(t)::text FROM throttle_counters t")).all()
    told = session.execute(text("SELECT row_to_json(t)::text FROM audit_log t")).all()
    assert "wrong field" not in str(stored + told)


def test_the_audit_log_does_not_grow_with_an_attack(guess, session):
    for _ in range(14):
        guess("nobody")
    lines = text("SELECT count(*) FROM audit_log WHERE action = 'throttle'")
    assert session.execute(lines).scalar_one() == 1


def test_registration_is_throttled_by_address(api):
    program = api(None)
    body = {"login": "good", "email": "nonsense", "password": "p" * 20, "role": "developer"}
    statuses = [program.post("/users", body).status_code for _ in range(21)]
    assert statuses == [422] * 20 + [429]
