"""The REST API's foundation: blueprints that document themselves in OpenAPI 3.1.

A context's api.py makes a `Blueprint` from here, its `create_app` line registers it with
`register(app, blueprint)`. A view's function name is its operationId, its docstring its summary.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

import flask_smorest
from flask import Blueprint as FlaskBlueprint
from flask import Flask, Response, current_app, make_response, render_template, request
from marshmallow import RAISE, Schema, fields
from webargs import missing
from webargs.flaskparser import FlaskParser, is_json_request
from werkzeug.exceptions import UnsupportedMediaType

from app.kernel.errors import BadInput
from app.web.access import PUBLIC, policy_of, public
from app.web.errors import PROBLEM_JSON
from app.web.hygiene import strict_json
from app.web.idempotency import HEADER

View = TypeVar("View", bound=Callable[..., Any])
URL_PREFIX = "/api/v1"
DESCRIPTION = """\
One company's task board with a pay ledger behind it. Send a token from `auth_user` as
`Authorization: Bearer …`. Errors are `application/problem+json` (RFC 9457). Lists are keyset pages:
pass `next_cursor` on as `cursor`. Any POST may carry an `Idempotency-Key`.
"""
UNKNOWN, TWICE = "Unknown field.", "Given twice."
_KEY_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same key with the same body gives the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}


class Parser(FlaskParser):
    """Reads arguments strictly: unknown names are errors, and so is ambiguous JSON."""

    DEFAULT_UNKNOWN_BY_LOCATION = {  # noqa: RUF012 - as its parent has it
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "json": RAISE,
        "query": RAISE,
    }

    def _raw_load_json(self, req: Any) -> Any:
        body = req.get_data(cache=True)
        if not body:
            return missing
        if not is_json_request(req):
            raise UnsupportedMediaType("Send application/json")
        return strict_json(body)


class FieldProblem(Schema):
    """What is wrong with one field."""

    pointer = fields.String(required=True, metadata={"example": "#/name"})
    detail = fields.String(required=True)


class ProblemDetails(Schema):
    """An error (RFC 9457)."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    instance = fields.String(required=True)
    request_id = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldProblem))


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """flask-smorest's blueprint, typed, and documenting policy, operationId and errors."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, name: str, import_name: str, **options: Any) -> None:
        options.setdefault("url_prefix", URL_PREFIX)
        super().__init__(name, import_name, **options)
        self._prepare_doc_cbks.append(self._prepare_operation_doc)
        self.before_request(_refuse_surplus)

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Register a view at `rule`, below /api/v1."""
        decorator: Callable[[View], View] = super().route(rule, **options)
        return decorator

    def get(self, rule: str, **options: Any) -> Callable[[View], View]:
        return self.route(rule, methods=["GET"], **options)

    def post(self, rule: str, **options: Any) -> Callable[[View], View]:
        return self.route(rule, methods=["POST"], **options)

    def delete(self, rule: str, **options: Any) -> Callable[[View], View]:
        return self.route(rule, methods=["DELETE"], **options)

    def arguments(self, schema: Any, **options: Any) -> Callable[[View], View]:
        """Pass what `schema` reads from the body (or `location="query"`) to the view."""
        decorator: Callable[[View], View] = super().arguments(schema, **options)
        return decorator

    def response(self, status: int, schema: Any = None, **options: Any) -> Callable[[View], View]:
        """Answer with `status` and what `schema` makes of the view's value."""
        decorator: Callable[[View], View] = super().response(status, schema, **options)
        return decorator

    def alt_response(self, status: int, *args: Any, **options: Any) -> Callable[[View], View]:
        """Document another answer."""
        decorator: Callable[[View], View] = super().alt_response(status, *args, **options)
        return decorator

    @staticmethod
    def doc(**names: Any) -> Callable[[View], View]:
        """Set anything in the operation's documentation."""
        decorator: Callable[[View], View] = flask_smorest.Blueprint.doc(**names)
        return decorator

    def _store_endpoint_docs(
        self, endpoint: str, obj: Any, parameters: Any, tags: Any, **options: Any
    ) -> None:
        super()._store_endpoint_docs(endpoint, obj, parameters, tags, **options)
        for method, doc in self._docs[endpoint].items():
            if method != "parameters":
                doc["ates"] = {"operation_id": obj.__name__, "action": policy_of(obj)}

    @staticmethod
    def _prepare_operation_doc(
        doc: dict[str, Any], info: dict[str, Any], *, method: str, **_: Any
    ) -> dict[str, Any]:
        doc.setdefault("operationId", info["ates"]["operation_id"])
        if info["ates"]["action"] == PUBLIC:
            doc["security"] = []
            refusals = [HTTPStatus.TOO_MANY_REQUESTS]
        else:
            refusals = [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN]
        if method == "post":
            doc.setdefault("parameters", []).append(_KEY_PARAMETER)
            refusals += [HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY]
        for status in (*refusals, HTTPStatus.SERVICE_UNAVAILABLE):
            doc.setdefault("responses", {}).setdefault(int(status), status.name)
        return doc


def _refuse_surplus() -> None:
    """Raise BadInput for a query or body that the view does not take, or a name given twice."""
    view = current_app.view_functions[str(request.endpoint)]
    arguments = getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", ())
    taken = {argument["in"] for argument in arguments}
    if request.query_string:
        names = [name for name, _ in request.args.items(multi=True)]
        surplus = dict.fromkeys(names, UNKNOWN) if "query" not in taken else {}
        twice = {name: TWICE for name in names if names.count(name) > 1}
        if surplus or twice:
            raise BadInput(fields={f"?{name}": why for name, why in {**twice, **surplus}.items()})
    if "json" not in taken and request.content_length and strict_json(request.get_data()) != {}:
        raise BadInput(fields={"": UNKNOWN})


class Api(flask_smorest.Api):  # type: ignore[misc]
    """flask-smorest's registry, with problem+json for every error and our own error handlers."""

    ERROR_SCHEMA = ProblemDetails

    def _register_error_handlers(self) -> None:
        """app.web.errors answers errors."""

    def _register_responses(self) -> None:
        for status in HTTPStatus:
            self._register_problem(status.name, status.phrase)
        self._register_problem("DEFAULT_ERROR", "Any other error")

    def _register_problem(self, name: str, description: str) -> None:
        content = {PROBLEM_JSON: {"schema": self.ERROR_SCHEMA}}
        self.spec.components.response(
            name, {"description": description, "content": content}, lazy=True
        )

    @public
    def _openapi_json(self) -> Response:
        return make_response(self.spec.to_dict())


docs = FlaskBlueprint("api_docs", __name__)


@docs.get("/api/docs")
@public
def page() -> str:
    """A page that lists the operations and tries them, made by static/operations.js."""
    return render_template("web/api_docs.html")


def init_app(app: Flask) -> Api:
    """Serve /api/v1/openapi.json and /api/docs."""
    app.config.update(
        API_TITLE="aTES",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=URL_PREFIX,
        OPENAPI_JSON_PATH="openapi.json",
    )
    api = Api(
        app,
        spec_kwargs={
            "info": {"description": DESCRIPTION},
            "servers": [{"url": "/"}],
            "security": [{"bearer": []}],
        },
    )
    api.spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    app.extensions["ates-api"] = api
    app.register_blueprint(docs)
    return api


def register(app: Flask, blueprint: Blueprint) -> None:
    """Register a context's API, and document it."""
    api: Api = app.extensions["ates-api"]
    api.register_blueprint(blueprint)
