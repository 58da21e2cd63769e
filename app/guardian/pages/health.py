"""Health: what the system is made of and how it is, what was found, stop and resume."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, url_for
from flask_babel import gettext
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError

from app.guardian import commands, parts, queries
from app.guardian.checks import CHECKS, RULES
from app.guardian.pages.blueprint import blueprint
from app.kernel.db import db
from app.kernel.errors import BadInput, Conflict, Unavailable
from app.web import live, stopped
from app.web.access import current_actor, current_user, requires
from app.web.confirmation import confirm_password
from app.web.forms import Form
from app.web.htmx import go_to, page


@blueprint.get("")
@requires("see_system")
def health() -> Response:
    """Checks with their last results, the parts, the schedule, the stop."""
    return _page(Form())


@blueprint.post("/stop")
@requires("stop_and_resume")
def stop() -> Response:
    """Stop all changes: a reason and the password again."""
    form = Form.sent("reason")
    try:
        reason = commands.checked_reason(form["reason"])
        confirm_password()
        commands.stop(current_actor(), reason=reason, origin="page")
    except BadInput as error:
        return _page(form.refuse(error), error.status)
    stopped.forget()  # so that the banner of the next page says it
    return go_to(url_for("guardian.health"))


@blueprint.post("/resume")
@requires("stop_and_resume")
def resume() -> Response:
    """Let changes go on, when everything was checked and found in order."""
    form = Form.sent("reason")
    try:
        reason = commands.checked_reason(form["reason"])
        confirm_password()
        commands.resume(current_actor(), reason=reason)
    except (BadInput, Conflict) as error:
        return _page(form.refuse(error), error.status)
    except DBAPIError as error:
        if not isinstance(error.orig, pg.QueryCanceled | pg.TransactionTimeout):
            raise
        raise Unavailable("The checks take too long for a page: use bin/ates resume") from error
    stopped.forget()
    flash(gettext("Changes go on."))
    return go_to(url_for("guardian.health"))


def _page(form: Form, status: int = 200) -> Response:
    session: Any = db.session()
    stopped.forget()
    results, findings = queries.check_results(session)
    rounds, ticks = queries.rounds(session), queries.ticks(session)
    checks = [
        {
            "check": check,
            "finding": findings.get(check.name),
            "increment": results.get((check.name, "increment")),
            "whole": results.get((check.name, "whole")),
        }
        for check in CHECKS
    ]
    checks.sort(key=lambda row: row["finding"] is None)
    return page(
        "guardian/health.html",
        None,
        status,
        version=live.version(health=sum(row.rounds for row in rounds.values())),
        state=stopped.state(),
        parts=parts.all_parts(session, rounds=rounds, ticks=ticks),
        checks=checks,
        rules={rule.name: rule for rule in RULES},
        findings=list(findings.values()),
        rounds=rounds,
        ticks=ticks,
        alerts=queries.alerts(session),
        decisions=queries.decisions(session),
        can_stop=current_user().may("stop_and_resume"),
        form=form,
    )
