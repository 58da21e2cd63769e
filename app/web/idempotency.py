"""Idempotency keys: the same POST sent again has one effect, and gets the first answer again.

The command and its stored answer commit together: the wrapper's transaction is the outer one. Only
answers below 400 are stored; a refusal rolls back and may be tried again with the same key.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec

from flask import Response, current_app, make_response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from app.kernel.db import in_transaction, sql
from app.kernel.errors import BadInput, Conflict
from app.kernel.settings import Settings
from app.web.sessions import is_api, signed_in

P = ParamSpec("P")
# Makes an answer of a seed; makes it again of what was stored; makes of both what is stored.
View = Callable[[bytes], ResponseReturnValue]
Again = Callable[[Any], ResponseReturnValue]
Kept = Callable[[Response, bytes], bytes]
HEADER = "Idempotency-Key"
FIELD = "idempotency_key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[!-~]{1,200}")
_REFUSED = 400
SEED_BYTES = 32
_KEPT_HEADERS = ("Content-Type", "Location", "HX-Redirect", "HX-Trigger", "HX-Push-Url")
_NOT_PART_OF_THE_FORM = {FIELD, "csrf_token"}

# Takes the key for this transaction, and shows the answer that is stored under it.
CLAIM = sql("SELECT * FROM claim_idempotency_key(:scope, :key)")
# Makes this transaction's commit wait for the synchronous standby, if there is one, and so for
# whatever was committed before it: an answer is not repeated before what it tells of is safe.
# It takes a record in the server's log: a transaction that has only an id does not wait.
WAIT_FOR_STANDBY = sql("SELECT pg_logical_emit_message(true, 'ates', 'answer repeated')")
# Stores the first answer.
STORE = sql("""
INSERT INTO idempotency_keys (scope, key, fingerprint, status, headers, body)
VALUES (:scope, :key, :fingerprint, :status, CAST(:headers AS jsonb), :body)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """What came with the request: whose key, the key, and what must be the same again."""

    scope: str
    key: str
    content: bytes


class _Refusal(Exception):
    """Carries an answer that is an error out of the transaction, which is rolled back."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def idempotent(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """Make a POST view repeatable under a key; without a key it runs as it is.

    The key is the header Idempotency-Key, or the form field `idempotency_key`, and is its
    sender's own. Raises BadInput for the same key with another body, Conflict while the first
    request is still under way.
    """

    @wraps(view)
    def once(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        return run_once(lambda: view(*args, **kwargs))

    return once


def run_once(view: Callable[[], ResponseReturnValue]) -> ResponseReturnValue:
    """What `idempotent` does, for a part of a view."""
    return _run(
        lambda _seed: view(),
        again=lambda claim: (claim.body, claim.status, claim.headers),
        kept=lambda response, _seed: response.get_data(),
    )


def run_sealed(view: Callable[[bytes], ResponseReturnValue]) -> ResponseReturnValue:
    """The same for an answer that holds a secret, which is not stored.

    Stored are 32 random bytes; `view` is called with them, again at each repetition, and must
    make the same answer of them.
    """
    return _run(view, again=lambda claim: view(claim.body), kept=lambda _response, seed: seed)


def run_shown_once(
    view: Callable[[], ResponseReturnValue], again: Callable[[], ResponseReturnValue]
) -> ResponseReturnValue:
    """The same for an answer that shows a secret this once: of it only is stored that it was given.

    Sent again, the request is answered by `again`, which must change nothing.
    """
    return _run(
        lambda _seed: view(), again=lambda _claim: again(), kept=lambda _response, _seed: b""
    )


def _run(view: View, *, again: Again, kept: Kept) -> ResponseReturnValue:
    """The answer of `view` to a random seed, of which is stored what `kept` makes of both.

    Sent again, the request is answered by `again`, which is given what was stored.
    """
    key = _key()
    if key is None:
        return view(secrets.token_bytes(SEED_BYTES))
    sent = _Sent(scope=_scope(), key=key, content=_content())
    try:
        return in_transaction(lambda session: _claimed(session, sent, view, again=again, kept=kept))
    except _Refusal as refusal:
        return refusal.response


def run_repeatable(view: Callable[[], ResponseReturnValue]) -> ResponseReturnValue:
    """The same for a view that runs transactions of its own, and again changes nothing.

    Its answer is stored in a transaction after them. A request that dies in between has stored
    none: sent again, it runs again, and that answer is the first.
    """
    key = _key()
    if key is None:
        return view()
    sent = _Sent(scope=_scope(), key=key, content=_content())
    stored = in_transaction(lambda session: _stored(session, sent))
    if stored is not None:
        return stored
    response = make_response(view())
    if response.status_code >= _REFUSED:
        return response
    return in_transaction(lambda session: _stored_or_new(session, sent, response))


def _claimed(session: Session, sent: _Sent, view: View, *, again: Again, kept: Kept) -> Response:
    claim = _claim(session, sent)
    if claim.status is not None:
        return _replayed(again(claim))
    seed = secrets.token_bytes(SEED_BYTES)
    response = make_response(view(seed))
    if response.status_code >= _REFUSED:
        raise _Refusal(response)
    _store(session, sent, response, kept(response, seed))
    return response


def _stored_or_new(session: Session, sent: _Sent, response: Response) -> Response:
    stored = _stored(session, sent)
    if stored is not None:
        return stored  # a rival with the same key was first
    _store(session, sent, response, response.get_data())
    return response


def _stored(session: Session, sent: _Sent) -> Response | None:
    claim = _claim(session, sent)
    if claim.status is None:
        return None
    return _replayed((claim.body, claim.status, claim.headers))


def _claim(session: Session, sent: _Sent) -> Any:
    """Take the key for this transaction; shows what is stored under it."""
    claim = session.execute(CLAIM, {"scope": sent.scope, "key": sent.key}).one()
    if not claim.is_free:
        raise Conflict("A request with this idempotency key is still under way")
    if claim.status is not None:
        _check_same(claim.fingerprint, sent.content)
        session.execute(WAIT_FOR_STANDBY)
    return claim


def _replayed(answer: ResponseReturnValue) -> Response:
    response = make_response(answer)
    response.headers[REPLAYED] = "true"
    return response


def _store(session: Session, sent: _Sent, response: Response, body: bytes) -> None:
    kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    session.execute(
        STORE,
        {
            "scope": sent.scope,
            "key": sent.key,
            "fingerprint": _fingerprint(_secret_keys()[0], sent.content),
            "status": response.status_code,
            "headers": json.dumps(kept),
            "body": body,
        },
    )


def _check_same(fingerprint: bytes, content: bytes) -> None:
    """Raise BadInput when the key came with another request; keys before a rotation count."""
    made = (_fingerprint(secret_key, content) for secret_key in _secret_keys())
    if not any(hmac.compare_digest(fingerprint, own) for own in made):
        raise BadInput("This idempotency key was used with another request")


def _key() -> str | None:
    key, name = request.headers.get(HEADER), HEADER
    if key is None and not is_api():
        key, name = request.form.get(FIELD) or None, FIELD
    if key is not None and not _KEY.fullmatch(key):
        raise BadInput(fields={name: "Use 1 to 200 visible ASCII characters"})
    return key


def _scope() -> str:
    user = signed_in()
    return f"user {user.id}" if user is not None else f"address {request.remote_addr}"


def _content() -> bytes:
    """What must be the same when a key comes again: method, address and body."""
    if request.form:
        fields = sorted(
            item for item in request.form.items(multi=True) if item[0] not in _NOT_PART_OF_THE_FORM
        )
        body = json.dumps(fields).encode()
    else:
        body = request.get_data(cache=True)
    return b"\n".join((request.method.encode(), request.full_path.encode(), body))


def _secret_keys() -> list[bytes]:
    settings: Settings = current_app.config["SETTINGS"]
    return [key.encode() for key in (settings.secret_key, *settings.secret_key_fallbacks)]


def _fingerprint(secret_key: bytes, content: bytes) -> bytes:
    """Keyed, since a body may hold a password, which a bare hash would give away."""
    return hmac.digest(secret_key, b"idempotency " + content, "sha256")
