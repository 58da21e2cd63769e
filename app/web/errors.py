"""Errors as answers: a page, something htmx can place, or problem+json under /api/ (RFC 9457)."""

from __future__ import annotations

import structlog
from flask import Flask, Response, flash, g, json, make_response, render_template, request, url_for
from flask_babel import gettext
from flask_wtf.csrf import CSRFError
from jinja2 import TemplateNotFound
from markupsafe import escape
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from app.kernel.db import db
from app.kernel.errors import AtesError, NotSignedIn
from app.web import drafts, htmx, stopped, ways_back
from app.web.language import translated
from app.web.problems import SERVER_ERROR, Problem, problem_of
from app.web.sessions import be_nobody, is_api

PROBLEM_JSON = "application/problem+json"
UNAUTHORIZED = 401
# What may be taken another time, or after a correction: the text that came with it is given back.
AGAIN = frozenset({409, 422, 429, 500, 503})
log = structlog.get_logger(__name__)


def init_app(app: Flask) -> None:
    """Answer every error of `app` in the form that its client understands."""
    app.register_error_handler(Exception, handle)


def handle(error: Exception) -> Response:
    """The answer to `error`. An unforeseen one is logged with its traceback, and not shown."""
    if isinstance(error, RequestRedirect):
        return make_response(error.get_response())
    if isinstance(error, HTTPException) and error.response is not None:
        return make_response(error.response)
    if isinstance(error, MethodNotAllowed) and (url := ways_back.page_of_the_form()):
        return htmx.go_to(url)
    problem = problem_of(error)
    if problem.status >= SERVER_ERROR:
        _log(error, problem)
        db.session.remove()
        stopped.notice(error)
    response = _answer(error, problem)
    response.headers.update(problem.headers)
    return response


def _log(error: Exception, problem: Problem) -> None:
    if problem.status == SERVER_ERROR:
        log.error("internal_error", exc_info=error)
    else:
        log.warning("unavailable", error=type(error).__name__, cause=str(error)[:300])


def _answer(error: Exception, problem: Problem) -> Response:
    if is_api():
        return problem_json(problem)
    if isinstance(error, NotSignedIn):
        return _to_sign_in()
    return _page(error, problem)


def problem_json(problem: Problem) -> Response:
    """The problem as RFC 9457 has it, with `errors` for fields and the request's id."""
    body = {
        "type": f"/api/docs#{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.path,
        "request_id": g.get("request_id"),
    }
    if problem.incident:
        body["incident"] = problem.incident
    if problem.fields:
        body["errors"] = [
            {"pointer": where, "detail": message} for where, message in problem.fields.items()
        ]
    response = make_response(json.dumps(body), problem.status)
    response.mimetype = PROBLEM_JSON
    if problem.status == UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="aTES"'
    return response


def _to_sign_in() -> Response:
    """A page that needs a person: to the sign-in page, and back to the page that one was on."""
    drafts.refused()
    is_page = request.method == "GET" and not htmx.wants_fragment()
    back = request.full_path.rstrip("?") if is_page else drafts.came_from()
    url = url_for("auth.sign_in", next=back if back != "/" else None)
    if not is_page and back:
        flash(gettext("Your session has ended. Sign in to go on where you were."), "warning")
    if htmx.wants_fragment():
        return htmx.steer(make_response("", UNAUTHORIZED), redirect=url)
    if again := drafts.again():
        return make_response(render_template("errors/401.html", again=again, url=url), UNAUTHORIZED)
    return htmx.go_to(url)


def _page(error: Exception, problem: Problem) -> Response:
    if problem.status >= SERVER_ERROR and "_login_user" not in g:
        be_nobody()  # the page must not ask the database that just failed
    is_old = isinstance(error, CSRFError)
    try:
        body = render_template(
            ["errors/old.html" if is_old else f"errors/{problem.status}.html", "errors/500.html"],
            problem=problem,
            message=_own_words(error, problem),
            again=drafts.again() if is_old or problem.status in AGAIN else None,
            back_url=drafts.came_from() if is_old else None,
        )
    except TemplateNotFound:
        body = _bare_page(problem)
    except Exception:  # an error page that fails must not hide what it was to tell
        log.exception("error_page_failed")
        body = _bare_page(problem)
    response = make_response(body, problem.status)
    if htmx.wants_fragment():
        htmx.steer(response, retarget="#main", reselect="#main", reswap="outerHTML")
    return response


def _own_words(error: Exception, problem: Problem) -> str:
    """What the error says beyond its title, which the page says in words of its own."""
    if not isinstance(error, AtesError) or problem.detail in ("", problem.title):
        return ""
    return _sentence(translated(problem.detail))


def _sentence(words: str) -> str:
    """`words` with the full stop that an error's message lacks: more sentences follow it."""
    return words if words.endswith((".", "!", "?", "…")) else f"{words}."


def _bare_page(problem: Problem) -> str:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{escape(problem.title)}</title>"
        f"<main id=main><h1 data-error-title>{escape(problem.title)}</h1>"
        f"<p data-error-advice>{escape(problem.detail)}</p>"
        f"<p>Request <code>{escape(g.get('request_id', ''))}</code></p></main></html>"
    )
