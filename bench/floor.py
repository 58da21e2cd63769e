"""aTES with one page more, that is empty: what any page costs before it says something."""

from __future__ import annotations

from flask import Flask, render_template
from jinja2 import ChoiceLoader, DictLoader

import app
from app.web import access

PATH = "/bench/floor"
TEMPLATE = "bench/floor.html"


def create_app() -> Flask:
    """The application with the page, for gunicorn."""
    ours = app.create_app()
    ours.add_url_rule(PATH, view_func=access.requires("see_all_tasks")(floor))
    access.check_policies(ours)
    templates = ours.jinja_env.loader
    assert templates is not None
    empty = DictLoader({TEMPLATE: "{% extends 'base.html' %}"})
    ours.jinja_env.loader = ChoiceLoader([empty, templates])
    return ours


def floor() -> str:
    """The frame of every page, with nothing in it."""
    return render_template(TEMPLATE)
