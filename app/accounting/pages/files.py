"""Files of the report: a page of them at once, longer ones as exports that show their progress."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Response, request, send_file, url_for
from flask.typing import ResponseReturnValue

from app.accounting import commands, queries
from app.accounting.pages import blueprint
from app.accounting.pages.period import arguments, asked_filter, sent_filter
from app.accounting.queries import LedgerFilter
from app.accounting.queries.exports import filter_from_json
from app.kernel.db import db
from app.kernel.errors import Conflict, NotFound
from app.web import htmx
from app.web.access import current_actor, requires
from app.web.idempotency import idempotent

TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@blueprint.get("/report.csv")
@requires("see_all_transfers")
def report_csv() -> Response:
    """The filter's transfers as CSV, when they are not more than a page."""
    return _at_once(asked_filter(), "csv")


@blueprint.get("/report.xlsx")
@requires("see_all_transfers")
def report_xlsx() -> Response:
    """The filter's transfers as XLSX, when they are not more than a page."""
    return _at_once(asked_filter(), "xlsx")


@blueprint.post("/exports")
@requires("see_all_transfers")
@idempotent
def create_export() -> Response:
    """Ask for a file of any length; a worker makes it."""
    export_id = commands.request_export(
        current_actor(), sent_filter(), format=request.form.get("format", "")
    )
    return htmx.go_to(url_for("accounting.export", export_id=export_id))


@blueprint.get("/exports")
@requires("see_all_transfers")
def exports() -> Response:
    """One's exports, newest first."""
    rows = queries.exports_of(db.session(), current_actor().user_id)
    return htmx.page("accounting/exports.html", exports=[_shown(row) for row in rows])


@blueprint.get("/exports/<int:export_id>")
@requires("see_all_transfers")
def export(export_id: int) -> Response:
    """How far an export is; asks again by itself until it is done."""
    row = queries.export_of(db.session(), current_actor().user_id, export_id)
    names = {"export": _shown(row)}
    return htmx.page("accounting/export.html", "accounting/_export_now.html", **names)


@blueprint.get("/exports/<int:export_id>/file")
@requires("see_all_transfers")
def export_file(export_id: int) -> ResponseReturnValue:
    """The file of an export that is done."""
    row = queries.export_of(db.session(), current_actor().user_id, export_id)
    path = commands.export_file(row.id, row.format)
    if row.state != "done" or not path.is_file():
        raise NotFound("This export has no file")
    wanted = filter_from_json(row.filter)
    return send_file(
        path, TYPES[row.format], as_attachment=True, download_name=_name(wanted, row.format)
    )


def _at_once(wanted: LedgerFilter, format: str) -> Response:  # noqa: A002 - its name everywhere
    if queries.totals(db.session(), wanted).transfers > queries.PAGE_MAX:
        raise Conflict("That is more than a page: make an export of it")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        commands.write_transfers(db.session(), path, wanted, format=format)
        return file_response(path.read_bytes(), _name(wanted, format), format)


def file_response(content: bytes | Iterator[bytes], name: str, format: str) -> Response:  # noqa: A002
    """An answer that is saved as the file `name`."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, mimetype=TYPES[format], headers=headers)


def _name(wanted: LedgerFilter, format: str) -> str:  # noqa: A002 - its name everywhere
    return f"transfers-{wanted.period.first}-{wanted.period.last}.{format}"


def _shown(row: Any) -> dict[str, Any]:
    wanted = filter_from_json(row.filter)
    return {
        "id": row.id,
        "url": url_for("accounting.export", export_id=row.id),
        "file_url": url_for("accounting.export_file", export_id=row.id),
        "report_url": url_for("accounting.report", **arguments(wanted)),
        "fields": {name: value for name, value in arguments(wanted).items() if value is not None},
        "format": row.format,
        "name": _name(wanted, row.format),
        "words": [word for word in (wanted.kind, wanted.text) if word],
        "state": row.state,
        "rows_total": row.rows_total,
        "rows_done": row.rows_done,
        "size_kb": (row.size_bytes or 0) // 1024 + 1,
        "requested_at": row.requested_at,
        "finished_at": row.finished_at,
        "is_over": row.state in ("done", "failed"),
        "is_stuck": row.is_stuck,
    }
