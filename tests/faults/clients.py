"""Traffic: a manager who creates and reassigns, employees who complete, all at once, by seed."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import requests

from tests.faults.journal import Journal, State, send
from tests.faults.system import System

CLIENTS = 4
TRIES = 6
LIST_TIMEOUT_S = 20.0


class Crowd:
    """`clients` threads that want something every few milliseconds until they are stopped.

    What they want is the seed's; names and keys are new each time, as one database sees many.

    Two thirds of the clients ask again under the same key when they were not answered; the others
    leave it at that.
    """

    def __init__(self, system: System, dice: Random, *, clients: int = CLIENTS) -> None:
        self.system = system
        self.journal = Journal()
        self.prefix = f"Fence {uuid.uuid4()}"
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._work, args=(number, Random(dice.getrandbits(64))))
            for number in range(clients)
        ]

    @contextmanager
    def at_work(self) -> Iterator[Journal]:
        """The traffic, while the block runs; raises what a client stumbled over."""
        for thread in self._threads:
            thread.start()
        try:
            yield self.journal
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()
        if self._failures:
            raise self._failures[0]

    def _work(self, number: int, dice: Random) -> None:
        employees = sorted(login for login in self.system.people if login.startswith("parrot"))
        try:
            with requests.Session() as session:
                while not self._stop.is_set():
                    self._want_something(number, session, dice, dice.choice(employees))
                    time.sleep(dice.random() * 0.02)
        except Exception as error:  # noqa: BLE001 - told to the one who started the crowd
            self._failures.append(error)

    def _want_something(
        self, number: int, session: requests.Session, dice: Random, employee: str
    ) -> None:
        want = dice.random()
        tries = TRIES if dice.random() < 2 / 3 else 1
        if number == 0 and want < 0.01:
            session.headers["Authorization"] = f"Bearer {self.system.token('mary')}"
            self._send(session, "reassign", "all", "/tasks/reassignment", dice, tries, "mary")
        elif want < 0.5:
            session.headers["Authorization"] = f"Bearer {self.system.token('mary')}"
            name = f"{self.prefix} {number}.{dice.getrandbits(48):x}"
            self._send(session, "create", name, "/tasks", dice, tries, "mary")
        else:
            session.headers["Authorization"] = f"Bearer {self.system.token(employee)}"
            task_id = self._some_task(session, dice)
            if task_id is not None:
                path = f"/tasks/{task_id}/completion"
                self._send(session, "complete", task_id, path, dice, tries, employee)

    def _send(
        self,
        session: requests.Session,
        kind: str,
        subject: str | int,
        path: str,
        dice: Random,
        tries: int,
        login: str,
    ) -> State:
        key = str(uuid.uuid4())
        attempt = self.journal.open(kind, subject, key=key, login=login)
        body = {"name": subject} if kind == "create" else None
        url = f"{self.system.address}/api/v1{path}"
        return send(self.journal, attempt, url, session=session, body=body, tries=tries)

    def _some_task(self, session: requests.Session, dice: Random) -> int | None:
        url = f"{self.system.address}/api/v1/me/tasks?state=open&limit=20"
        try:
            answer = session.get(url, timeout=LIST_TIMEOUT_S)
        except requests.RequestException:
            return None
        if answer.status_code not in (200, 503):
            self.journal.complain(f"{answer.status_code} to {url}: {answer.text[:200]}")
        tasks = answer.json()["items"] if answer.ok else []
        return int(dice.choice(tasks)["id"]) if tasks else None
