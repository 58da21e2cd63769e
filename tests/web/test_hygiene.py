"""What no field may hold, and JSON read strictly."""

import json

import pytest

from app.kernel.errors import BadInput, Malformed
from app.web.hygiene import strict_json

USER = b'"email": "a@b.example", "password": "eleven tulips under", "role": "developer"'


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": 1234567890123456789}',
        b'{"a": "\\u0000"}',
        b'{"\\u0000": 1}',
        b'{"a": "\\ud800"}',
        b'{"a": ["\\udfff"]}',
        b"[" * 30 + b"]" * 30,
        b'{"a":' * 30 + b"1" + b"}" * 30,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_ambiguous_or_unstorable_json_is_refused(body, api):
    with pytest.raises((BadInput, Malformed)):
        strict_json(body)
    answer = api(None).post("/users", data=body, content_type="application/json")
    assert answer.status_code in {400, 422}
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b"{'a': 1}", b'{"a": 1} x', b"nul", b"01"])
def test_what_is_not_json_is_malformed(body):
    with pytest.raises(Malformed):
        strict_json(body)


@pytest.mark.parametrize(
    "value", [{"a": [1, -2.5, True, None, "ё🦜\n"]}, [], "x", 123456789012345678, {}]
)
def test_plain_json_is_read_as_it_is(value):
    assert strict_json(json.dumps(value).encode()) == value
    assert strict_json(json.dumps(value, ensure_ascii=False).encode()) == value


def test_the_field_is_named(api):
    body = b'{"login": "a\\u0000b", ' + USER + b"}"
    answer = api(None).post("/users", data=body, content_type="application/json")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "#/login"


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"true"])
def test_a_body_that_is_no_object(body, api):
    answer = api(None).post("/users", data=body, content_type="application/json")
    assert answer.status_code == 422


@pytest.mark.parametrize("value", [1, 1.5, True, None, [], {}, ["kesha"]])
def test_a_wrong_type_is_named(value, api):
    body = {
        "login": value,
        "email": "a@b.example",
        "password": "eleven tulips under",
        "role": "developer",
    }
    answer = api(None).post("/users", body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == ["#/login"]


def test_each_missing_field_is_named(api):
    answer = api(None).post("/users", {})
    assert {error["pointer"] for error in answer.json["errors"]} == {
        "#/login", "#/email", "#/password", "#/role",
    }  # fmt: skip
    assert api(None).post("/users").status_code == 422


def test_another_content_type_is_415(api):
    answer = api(None).post("/users", data=b"login=x", content_type="text/plain")
    assert answer.status_code == 415


@pytest.mark.parametrize("url", ["/sign-in?next=%00", "/sign-in?%00=x", "/sign-in?a=1&a=%00"])
def test_nul_in_a_query_is_refused(url, client):
    assert client.get(url).status_code == 422


def test_nul_in_a_form_or_a_path_is_refused(anonymous, client):
    answer = anonymous.post("/sign-in", {"login": "a\0b", "password": "x"})
    assert answer.status_code == 422
    assert client.get("/invitations/%00").status_code == 404


@pytest.mark.parametrize("query", ["%ff", "%ed%a0%80", "%c0%80", "%"])
def test_bytes_that_are_not_utf8_do_no_harm(query, sign_in, make_user):
    answer = sign_in(make_user("administrator")).get(f"/people?q={query}")
    assert answer.status_code in {200, 422}


def test_unknown_names_in_a_query_are_refused(api, make_user):
    answer = api(make_user("manager")).get("/tasks?asigned_to=1")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "?asigned_to"
