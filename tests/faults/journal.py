"""What the clients tried, and what they were told."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import requests

TIMEOUT_S = 20.0
PAUSE_S = 0.2
# What the API's documents promise besides success; 503 leaves open what became of the request.
REFUSALS = frozenset({404, 409, 422})
UNAVAILABLE = 503
STILL_UNDER_WAY = "still under way"


class State(Enum):
    """What a client knows of its request."""

    OK = "ok"  # it was told that it was done
    FAILED = "failed"  # it was told that it was not, and will not be
    UNKNOWN = "unknown"  # it was told nothing that decides


@dataclass(slots=True)
class Attempt:
    """One thing that a client wanted, under one idempotency key, and each answer that it got."""

    kind: str
    subject: str | int
    key: str
    login: str
    state: State = State.UNKNOWN
    answers: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    answered_at: float = 0.0
    said: dict[str, Any] = field(default_factory=dict)


class Journal:
    """Every attempt of all clients, kept in memory of the rig alone."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.undocumented: list[str] = []
        self._lock = threading.Lock()

    def open(self, kind: str, subject: str | int, *, key: str, login: str) -> Attempt:
        """Note an attempt before it is made."""
        attempt = Attempt(kind, subject, key, login)
        with self._lock:
            self.attempts.append(attempt)
        return attempt

    def of(self, kind: str, *states: State) -> list[Attempt]:
        """The attempts of a kind in one of `states` (any without)."""
        wanted = states or tuple(State)
        return [a for a in self.attempts if a.kind == kind and a.state in wanted]

    def count(self, state: State) -> int:
        return sum(attempt.state is state for attempt in self.attempts)

    def slowest_s(self, since: float = 0.0) -> float:
        """The longest wait for an answer that came after the monotonic time `since`."""
        return max((a.slowest_s for a in self.attempts if a.answered_at >= since), default=0.0)

    def complain(self, what: str) -> None:
        """Note an answer that no document promises."""
        with self._lock:
            self.undocumented.append(what)


def send(
    journal: Journal,
    attempt: Attempt,
    url: str,
    *,
    session: requests.Session,
    body: object = None,
    tries: int = 1,
) -> State:
    """POST `body`, again under the same key while nobody knows, at most `tries` times."""
    for number in range(tries):
        if number:
            time.sleep(PAUSE_S)
        attempt.state = _send_once(journal, attempt, url, session=session, body=body)
        if attempt.state is not State.UNKNOWN:
            break
    return attempt.state


def _send_once(
    journal: Journal, attempt: Attempt, url: str, *, session: requests.Session, body: object
) -> State:
    began = time.monotonic()
    headers = {"Idempotency-Key": attempt.key}
    try:
        answer = session.post(url, json=body, headers=headers, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        attempt.answers.append(type(error).__name__)
        return State.UNKNOWN
    finally:
        attempt.answered_at = time.monotonic()
        attempt.slowest_s = max(attempt.slowest_s, attempt.answered_at - began)
    attempt.answers.append(str(answer.status_code))
    if answer.ok:
        attempt.said = answer.json()
        return State.OK
    return _refused(journal, answer)


def _refused(journal: Journal, answer: requests.Response) -> State:
    if answer.status_code in REFUSALS:
        return State.UNKNOWN if STILL_UNDER_WAY in answer.text else State.FAILED
    if answer.status_code != UNAVAILABLE:
        journal.complain(f"{answer.status_code} to {answer.url}: {answer.text[:200]}")
    elif "Retry-After" not in answer.headers:
        journal.complain(f"503 without Retry-After to {answer.url}")
    return State.UNKNOWN
