"""Pieces of pages that are kept: what they may know, and that nobody is shown another's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from jinja2 import ChoiceLoader, DictLoader, UndefinedError

from app.web import kept
from tests.conftest import Browser, User

PIECES = {
    "words.html": "{{ _('Open') }} {{ cents|money }} {{ name }}",
    "token.html": "{{ csrf_token() }}",
    "reader.html": "{{ current_user.login }}",
    "address.html": "{{ request.path }}",
    "forms.html": "{% from 'macros/forms.html' import tokens with context %}{{ tokens() }}",
    "listed.html": "{% for point in points %}{{ point.day }};{% endfor %}",
    "forgotten.html": "{{ nome }}",
}
# Those that ask for nothing but what they are given below.
KNOWING = ("words.html", "listed.html")


@pytest.fixture
def pieces(app: Flask) -> Flask:
    """The application, with some pieces more."""
    templates = app.jinja_env.loader
    assert templates is not None
    environment = app.extensions[kept.EXTENSION]
    environment.loader = ChoiceLoader([DictLoader(PIECES), templates])
    return app


def test_a_piece_is_written_once_for_the_same_names_and_the_same_reading(pieces: Flask) -> None:
    with pieces.test_request_context(headers={"Accept-Language": "en"}):
        first = kept.kept("words.html", name="<gate>", cents=150)
        again = kept.kept("words.html", name="<gate>", cents=150)
        listed = kept.kept("listed.html", points=[{"day": 1}, {"day": 2}])
        other = kept.kept("words.html", name="<gate>", cents=151)
        each = kept.kept_rows("forgotten.html", "nome", ["a", "b"])
    with pieces.test_request_context(headers={"Accept-Language": "ru"}):
        russian = kept.kept("words.html", name="<gate>", cents=150)

    assert first == "Open $1.50 &lt;gate&gt;"
    assert again is first
    assert other == "Open $1.51 &lt;gate&gt;"
    assert each == "ab"
    assert listed == "1;2;"
    assert russian.startswith("Открыт"), russian


@pytest.mark.parametrize("piece", [name for name in PIECES if name not in KNOWING])
def test_a_piece_knows_nothing_but_its_names(pieces: Flask, piece: str) -> None:
    with pieces.test_request_context(), pytest.raises(UndefinedError):
        kept.kept(piece)


def test_the_frame_of_a_page_is_its_readers_own(
    make_user: Callable[..., User], sign_in: Callable[[User], Browser]
) -> None:
    people = {login: sign_in(make_user("developer", login=login)) for login in ("anna", "boris")}
    pages = {login: browser.get("/tasks/mine").text for login, browser in people.items()}
    again = {login: browser.get("/tasks/mine").text for login, browser in people.items()}

    for page in (pages, again):
        assert "boris" not in page["anna"]
        assert "anna" not in page["boris"]


def test_people_are_written_once_whoever_is_chosen(pieces: Flask) -> None:
    with pieces.test_request_context():
        before = kept._write_piece.cache_info().misses
        written = [kept.kept_people("1 ann\n12 <bob>\n2 cy", chosen) for chosen in (None, 12, 1, 7)]
        missed = kept._write_piece.cache_info().misses - before

    assert missed == 1
    assert [one.count(" selected>") for one in written] == [0, 1, 1, 0]
    assert '<option value="12" selected>&lt;bob&gt;</option>' in written[1]
    assert '<option value="1" selected>ann</option>' in written[2]
    with pieces.test_request_context():
        assert not kept.kept_people("", None)
