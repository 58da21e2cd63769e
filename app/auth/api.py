"""REST: register oneself, get a token for a password, revoke the token that is used."""

from __future__ import annotations

import base64
import hmac
from datetime import timedelta

from flask import Response, current_app, jsonify, make_response
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields, validate

from app.auth import commands, throttle
from app.auth.accounts import MAX_EMAIL_LENGTH
from app.auth.passwords import MAX_LENGTH, MIN_LENGTH
from app.kernel.errors import NotFound
from app.kernel.policy import SELF_REGISTERED
from app.kernel.settings import Settings
from app.web.access import current_user, public, requires
from app.web.idempotency import run_once, run_sealed
from app.web.openapi import Blueprint

blueprint = Blueprint("auth_api", __name__, description="Accounts and tokens")
TOKEN_LIFETIME = timedelta(days=1)
MAX_LOGIN_LENGTH = 40


class NewUser(Schema):
    """Who wants to register."""

    login = fields.String(required=True, validate=validate.Length(2, MAX_LOGIN_LENGTH))
    email = fields.String(required=True, validate=validate.Length(3, MAX_EMAIL_LENGTH))
    password = fields.String(required=True, validate=validate.Length(MIN_LENGTH, MAX_LENGTH))
    role = fields.String(required=True, validate=validate.OneOf(sorted(SELF_REGISTERED)))


class RegisteredUser(Schema):
    """Who was registered."""

    id = fields.Integer(required=True)
    login = fields.String(required=True)
    email = fields.String(required=True)
    role = fields.String(required=True)


class Credentials(Schema):
    """A login and its password."""

    login = fields.String(required=True, validate=validate.Length(1, MAX_EMAIL_LENGTH))
    password = fields.String(required=True, validate=validate.Length(1, MAX_LENGTH))


class Token(Schema):
    """A bearer token, shown this once."""

    token = fields.String(required=True)
    expires_at = fields.DateTime(required=True)


@blueprint.post("/users")
@public
@blueprint.arguments(NewUser)
@blueprint.response(201, RegisteredUser)
def register_user(body: dict[str, str]) -> ResponseReturnValue:
    """Register oneself, as developer or other."""
    settings: Settings = current_app.config["SETTINGS"]
    throttle.allow(throttle.count_attempt(throttle.REGISTER_ADDRESS))

    def register() -> Response:
        user_id = commands.register_user(**body, is_open=settings.registration_open)
        return make_response(jsonify(RegisteredUser().dump({"id": user_id, **body})), 201)

    return run_once(register)


@blueprint.post("/tokens")
@public
@blueprint.arguments(Credentials)
@blueprint.response(201, Token)
@blueprint.alt_response(401, "UNAUTHORIZED")
def auth_user(body: dict[str, str]) -> ResponseReturnValue:
    """Get a token for a login and its password; it lives a day."""
    verified = commands.verify_credentials(**body)

    def issue(seed: bytes) -> Response:
        issued = commands.issue_token(
            None,
            user_id=verified.user_id,
            name="auth_user",
            lifetime=TOKEN_LIFETIME,
            secret=_secret_of(seed, verified.user_id),
        )
        return make_response(jsonify(Token().dump(issued)), 201)

    return run_sealed(issue)


@blueprint.delete("/tokens/current")
@requires("end_own_session")
@blueprint.response(204)
def revoke_token() -> Response:
    """Revoke the token that this request is sent with."""
    user = current_user()
    if user.token_id is None:
        raise NotFound
    commands.revoke_token(user.actor, user_id=user.id, token_id=user.token_id)
    return make_response("", 204)


def _secret_of(seed: bytes, user_id: int) -> str:
    """A token's secret that only we can make, and make again, of its request's seed."""
    settings: Settings = current_app.config["SETTINGS"]
    content = b"token " + seed + str(user_id).encode()
    digest = hmac.digest(settings.secret_key.encode(), content, "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
