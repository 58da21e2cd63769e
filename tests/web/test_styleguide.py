"""The style guide shows every component to those who develop, and nothing to anybody else."""

from __future__ import annotations

import re
from pathlib import Path

from app.web.styleguide import samples

MACROS = Path(__file__).parents[2] / "templates" / "macros"
# Parts of other components, and words for codes; live pages need a page that lives.
NOT_SHOWN = {"described", "remarks", "tokens", "step_of", "written", "frame", "announce", "mark"}
NOT_SHOWN |= {"live", "news"}


def test_it_is_there_for_developers_alone(client, make_app):
    assert client.get("/styleguide").status_code == 404
    page = make_app(dev=True).test_client().get("/styleguide")
    assert page.status_code == 200
    assert page.text.count('aria-labelledby="sample-') >= 2 * len(samples(make_app()))


def test_every_component_is_in_it(app):
    calls = " ".join(call for _, call in samples(app))
    macros = {
        name
        for file in ("forms", "data", "charts", "overlays", "icons", "progress")
        for name in re.findall(r"{% macro (\w+)\(", (MACROS / f"{file}.html").read_text())
    }
    missing = {name for name in macros - NOT_SHOWN if not re.search(rf"\b{name}\(", calls)}
    assert missing - {"icon"} == set()
