"""Importing a backlog: upload, look at what is in it, import, watch its fees being charged."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, url_for
from flask_babel import gettext

from app.kernel import settings
from app.kernel.db import db
from app.kernel.errors import AtesError, BadInput, Conflict
from app.tasks import commands, queries
from app.tasks.commands import UPLOAD_MAX_BYTES, UPLOAD_MAX_TASKS
from app.tasks.imports import REPORTED, BadFile, Fault
from app.tasks.pages import blueprint
from app.tasks.pages.views import posting_view
from app.tasks.queries import Upload
from app.web import htmx
from app.web.access import current_actor, requires
from app.web.forms import Form
from app.web.idempotency import idempotent
from app.web.language import translated
from app.web.uploads import MEGABYTE, sent_file, takes_file

FILE = "file"


@blueprint.get("/tasks/imports")
@requires("import_tasks")
def imports() -> Response:
    """The form that takes a file, and one's imports until now."""
    return _imports(Form())


@blueprint.post("/tasks/imports")
@requires("import_tasks")
@takes_file(UPLOAD_MAX_BYTES)
def upload() -> Response:
    """Take a file; its page shows what is in it. The same file again is the same upload."""
    try:
        name, content = sent_file(FILE, UPLOAD_MAX_BYTES)
        import_id = commands.upload_backlog(current_actor(), file_name=name, content=content)
    except BadFile as error:
        return _imports(_refused(error), error.status)
    except (BadInput, Conflict) as error:
        return _imports(Form().refuse(error), error.status)
    return htmx.go_to(_url(import_id))


@blueprint.get("/tasks/imports/<int:import_id>")
@requires("import_tasks")
def import_(import_id: int) -> Response:
    """What is in a file that waits; of one that was imported, how its fees are charged."""
    upload = queries.upload_of(db.session(), current_actor().user_id, import_id)
    if upload.at is None:
        return htmx.page("tasks/import_preview.html", upload=_preview(upload))
    posting = queries.posting_of_import(db.session(), import_id)
    names = {"upload": upload, "work": posting_view(posting, url=_url(import_id))}
    return htmx.page("tasks/imported.html", "tasks/_posting_now.html", **names)


@blueprint.post("/tasks/imports/<int:import_id>/confirmation")
@requires("import_tasks")
@idempotent
def confirm_import(import_id: int) -> Response:
    """Create every task of the file, or none; a second time changes nothing."""
    try:
        commands.import_backlog(current_actor(), import_id)
    except (BadFile, Conflict) as error:
        flash(_words(error), "error")
    return htmx.go_to(_url(import_id))


@blueprint.post("/tasks/imports/<int:import_id>/removal")
@requires("import_tasks")
def discard_import(import_id: int) -> Response:
    """Forget a file that waits."""
    commands.discard_upload(current_actor(), import_id)
    flash(gettext("The file is discarded; nothing was imported."))
    return htmx.go_to(url_for("tasks.imports"))


def _imports(form: Form, status: int = 200) -> Response:
    rows = queries.imports_of(db.session(), current_actor().user_id)
    limits = {"megabytes": UPLOAD_MAX_BYTES // MEGABYTE, "tasks": UPLOAD_MAX_TASKS}
    listed = [_listed(row) for row in rows]
    return htmx.page("tasks/imports.html", None, status, form=form, imports=listed, limits=limits)


def _refused(error: BadFile) -> Form:
    return Form(errors={FILE: _told(error.faults[0])})


def _words(error: AtesError) -> str:
    return _told(error.faults[0]) if isinstance(error, BadFile) else translated(error.message)


def _told(fault: Fault) -> str:
    what = translated(fault.what)
    if fault.line is None:
        return what
    return str(gettext("Line %(line)s: %(what)s", line=fault.line, what=what))


def _listed(row: Any) -> dict[str, Any]:
    return {
        "url": _url(row.id),
        "file_name": row.file_name,
        "task_count": row.tasks,
        "fault_count": row.faults,
        "uploaded_at": row.uploaded_at,
        "at": row.at,
    }


def _preview(upload: Upload) -> dict[str, Any]:
    """What the page of a file that waits shows."""
    fee = settings.current().assign_fee
    before = queries.imported_before(db.session(), upload.sha256)
    assignable_count = queries.assignable_count(db.session())
    return {
        "id": upload.id,
        "file_name": upload.file_name,
        "task_count": upload.tasks,
        "cost_min_cents": upload.tasks * fee.min_cents,
        "cost_max_cents": upload.tasks * fee.max_cents,
        "assignable_count": assignable_count,
        "used": upload.used,
        "ignored": upload.ignored,
        "more_ignored_count": upload.ignored_count - len(upload.ignored),
        "first": upload.first,
        "faults": upload.faults,
        "is_cut": len(upload.faults) >= REPORTED,
        "before": before,
        "expires_at": upload.expires_at,
        "can_import": not upload.faults and assignable_count > 0,
    }


def _url(import_id: int) -> str:
    return url_for("tasks.import_", import_id=import_id)
