"""aTES with one page more, that is empty: what any page costs before it says something."""

from __future__ import annotations

from flask import Flask, render_template_string

import app
from app.web import access

PATH = "/bench/floor"


def create_app() -> Flask:
    """The application with the page, for gunicorn."""
    ours = app.create_app()
    ours.add_url_rule(PATH, view_func=access.requires("see_all_tasks")(floor))
    access.check_policies(ours)
    return ours


def floor() -> str:
    """The frame of every page, with nothing in it."""
    return render_template_string("{% extends 'base.html' %}")
