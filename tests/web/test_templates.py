"""What templates name is there: endpoints, other templates, and nothing that the policy forbids."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

TEMPLATES = Path(__file__).parents[2] / "templates"
PAGES = sorted(path for path in TEMPLATES.rglob("*.html") if "mail" not in path.parts)
ENDPOINT = re.compile(r"url_for\(\s*'([^']+)'")
OTHER = re.compile(r"{%-?\s*(?:include|extends|from|import)\s+'([^']+)'")
# An inline script, style or handler would be stopped by the content security policy.
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_a_template_names_only_what_is_there(app: Flask, path: Path) -> None:
    text = path.read_text()
    app.jinja_env.get_template(str(path.relative_to(TEMPLATES)))
    assert set(ENDPOINT.findall(text)) <= set(app.view_functions)
    assert all((TEMPLATES / name).is_file() for name in OTHER.findall(text))
    assert INLINE.findall(text) == []
