"""Every word of a page is there in every language, and the catalogs are those of the sources."""

from __future__ import annotations

import ast

import pytest
from babel.messages.catalog import Catalog
from flask.testing import FlaskClient

from app.kernel.messages import said
from translations import catalog as tool


@pytest.fixture(scope="module")
def sources() -> Catalog:
    return tool.extracted()


@pytest.mark.parametrize("language", tool.LANGUAGES)
def test_the_catalog_is_that_of_the_sources(language: str, sources: Catalog) -> None:
    expected = tool.po_bytes(tool.updated(language, sources)).decode()
    kept = tool.po_path(language).read_text()
    assert kept == expected, "bin/translate brings it up to date"


@pytest.mark.parametrize("language", tool.LANGUAGES)
def test_nothing_is_missing_or_uncertain(language: str, sources: Catalog) -> None:
    assert tool.untranslated(tool.updated(language, sources)) == []


@pytest.mark.parametrize("language", tool.LANGUAGES)
def test_translations_hold_the_same_names(language: str, sources: Catalog) -> None:
    catalog = tool.updated(language, sources)
    found = {str(message.id): list(map(str, message.check(catalog))) for message in catalog}
    assert {name: errors for name, errors in found.items() if errors} == {}


def test_what_errors_say_is_found() -> None:
    tree = ast.parse(
        "class Gone(NotFound):\n"
        '    title = "It is gone"\n'
        'raise Conflict("Done already")\n'
        'raise BadInput(fields={"name": "Too long", "x": y})\n'
        'raise ValueError("Not shown")\n'
    )
    found = {text for text, _ in tool.refusals(tree)}
    assert found == {"It is gone", "Done already", "Too long"}


def test_a_missing_and_an_uncertain_string_are_told() -> None:
    catalog = Catalog(locale="ru")
    catalog.add("Here", "Здесь")
    catalog.add("Nowhere")
    catalog.add("Perhaps", "Пожалуй", flags={"fuzzy"})
    catalog.add(("One", "%(num)s"), ("%(num)s раз", "%(num)s раза", ""))
    assert tool.untranslated(catalog) == ["Nowhere", "Perhaps", "('One', '%(num)s')"]


def test_a_message_with_figures_is_plain_english_elsewhere() -> None:
    message = said("At most %(count)s characters", count=20)
    assert message == "At most 20 characters"
    assert str(message) is message


def test_a_page_speaks_the_language_that_the_browser_asks_for(client: FlaskClient) -> None:
    page = client.get("/sign-in", headers={"Accept-Language": "ru,en;q=0.5"}).text
    assert '<html lang="ru">' in page
    assert "Войти" in page
    assert "Sign in" not in page


def test_an_error_of_the_kernel_is_translated(client: FlaskClient) -> None:
    page = client.get("/invitations/none", headers={"Accept-Language": "ru"})
    assert page.status_code == 404
    assert "Ссылка уже использована" in page.text
