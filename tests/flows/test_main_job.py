"""The main job under fire: a backlog, forty hands, two reshuffles, and a worker that keeps dying.

2,000 imported tasks are assigned, 500 completed by their assignees in parallel over HTTP, all
reassigned twice while that goes on, the worker killed with SIGKILL several times in between.
"""

from __future__ import annotations

import contextlib
import csv
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from app import create_app
from app.auth.commands import create_user, issue_token
from app.guardian.commands import resume, stop
from app.kernel import clock
from app.kernel.db import db, in_transaction
from app.kernel.policy import Role
from app.kernel.settings import Settings
from embedded.postgres import DATABASE, Cluster
from tests.flows.running import Running, started
from tests.oracle import findings

TASKS = 2_000
COMPLETIONS = 500
EMPLOYEES = 20
HANDS = 8
KILLS = 5
DRAIN_S = 60
STOP_S = 1.0
FENCES = "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname LIKE '%\\_fence'"
PAYOUT_MAILS = "SELECT count(*) FROM emails WHERE payout_id IS NOT NULL"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(tmp_path_factory.mktemp("flow") / "data of a company") as running:
        yield running


@pytest.fixture(scope="module")
def tokens(company: Running) -> dict[str, str]:
    """A token of each person, by login."""
    people = {"mary": Role.MANAGER, "ann": Role.ACCOUNTANT}
    return _hire(
        company, people | {f"parrot{number}": Role.DEVELOPER for number in range(EMPLOYEES)}
    )


def _hire(company: Running, people: dict[str, Role]) -> dict[str, str]:
    made = {}
    with _inside(company):
        for login, role in people.items():
            user_id = create_user(
                None,
                login=login,
                email=f"{login}@ates.example",
                password=f"{uuid.uuid4()}",
                role=role,
            )
            made[login] = issue_token(
                None, user_id=user_id, name="test", lifetime=timedelta(days=1)
            ).token
    return made


@contextlib.contextmanager
def _inside(company: Running) -> Iterator[None]:
    """An application context on the running system's database, in this process."""
    app = create_app(Settings.from_env(company.env), process="worker")
    with app.app_context():
        yield
        db.session.remove()
        db.engine.dispose()


class Hands:
    """Clients that complete their tasks, and a journal of every answer that they got."""

    def __init__(self, address: str, tokens: dict[str, str], *, at_least: int) -> None:
        self.address, self.tokens = address, tokens
        self.journal: Counter[str] = Counter()
        self.completed: list[int] = []
        self._lock = threading.Lock()
        self._left = at_least

    def work(self, logins: list[str]) -> None:
        while self._left > 0:
            for login in logins:
                self._complete_some(login)

    def _complete_some(self, login: str) -> None:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self.tokens[login]}"
        answer = session.get(f"{self.address}/api/v1/me/tasks?state=open&limit=10", timeout=30)
        assert answer.status_code == 200, answer.text
        for task in answer.json()["items"]:
            with self._lock:
                if self._left <= 0:
                    return
            self._complete(session, task["id"])

    def _complete(self, session: requests.Session, task_id: int) -> None:
        key = {"Idempotency-Key": str(uuid.uuid4())}
        url = f"{self.address}/api/v1/tasks/{task_id}/completion"
        # Each request goes out twice, as from a client that lost the first answer.
        answers = [session.post(url, headers=key, timeout=30).status_code for _ in range(2)]
        with self._lock:
            self.journal[f"{answers}"] += 1
            if answers[0] == 200:
                self.completed.append(task_id)
                self._left -= 1


def test_not_one_cent_is_lost_or_doubled(
    company: Running, tokens: dict[str, str], tmp_path: Path
) -> None:
    _import_backlog(company, tmp_path)
    hands = Hands(company.address, tokens, at_least=COMPLETIONS)
    parrots = [login for login in tokens if login.startswith("parrot")]
    with ThreadPoolExecutor(HANDS + 2) as pool:
        working = [pool.submit(hands.work, parrots[number::HANDS]) for number in range(HANDS)]
        killing = pool.submit(_keep_killing_the_worker, company)
        reassigned = [_reassign(company, tokens["mary"], after_s=1.0) for _ in range(2)]
        for future in working:
            future.result()
        killed = killing.result()

    assert killed >= KILLS
    assert all(count > TASKS - COMPLETIONS - 1 for count in reassigned), reassigned
    # A completion was acknowledged both times, or refused both times: the task was given away.
    assert set(hands.journal) <= {"[200, 200]", "[404, 404]"}, hands.journal
    with psycopg.connect(company.env["DATABASE_URL"]) as connection:
        _wait_until_posted(connection)
        assert findings(connection) == {}
        _assert_counts(connection, sum(reassigned), hands.completed)


def test_a_closed_day_pays_every_positive_balance_to_zero_once(
    company: Running, tokens: dict[str, str]
) -> None:
    # Whoever came after the reshuffles owes nothing from them, and earns what they complete.
    newcomers = _hire(company, {f"newcomer{number}": Role.DEVELOPER for number in range(5)})
    for number in range(100):
        body = {"name": f"Feed the newcomers {number}"}
        _post(company, tokens["mary"], "/api/v1/tasks", body)
    Hands(company.address, newcomers, at_least=5).work(list(newcomers))
    with _inside(company):
        in_transaction(_move_clock_to_tomorrow)

    def pay(_number: int) -> requests.Response:
        return _post(company, tokens["ann"], "/api/v1/payouts", {})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(pay, range(4)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201], [
        answer.text for answer in answers
    ]
    first = next(answer.json() for answer in answers if answer.status_code == 201)
    assert first["paid_count"] > 0
    with psycopg.connect(company.env["DATABASE_URL"]) as connection:
        assert findings(connection) == {}
        assert _one(connection, "SELECT count(*) FROM accounts WHERE balance > 0") == 0
        paid = _one(connection, "SELECT count(*) FROM payouts")
        assert paid == first["paid_count"] == _one(connection, PAYOUT_MAILS)


def test_readers_of_the_status_see_an_empty_outbox(company: Running) -> None:
    answer = company.ates("outbox", "status")

    assert answer.returncode == 0, answer.stderr
    assert " 0 waiting, 0 dead letters" in answer.stdout


@pytest.mark.parametrize("is_fenced", [True, False], ids=["stop", "control"])
def test_a_stop_is_effective_in_every_process_within_a_second(
    company: Running, tokens: dict[str, str], *, is_fenced: bool
) -> None:
    with _inside(company):
        with _fences(company, are_up=is_fenced), _creating(company, tokens["mary"]) as statuses:
            began = time.monotonic()
            stop(None, reason="a drill", origin="command line")
            last_s = _last_writes_s(company, began)
        resume(None, reason="the drill is over")
    # The web writes the board's log, the worker transfers; the scheduler writes through the worker.
    assert last_s.keys() == {"logs", "account_transfers"}
    assert (max(last_s.values()) < STOP_S) == is_fenced, last_s
    assert (503 in statuses) == is_fenced
    assert statuses <= {201, 503}


@contextlib.contextmanager
def _fences(company: Running, *, are_up: bool) -> Iterator[None]:
    """With the fence of every table as it is, or down."""
    with psycopg.connect(Cluster(company.data_dir).superuser_url(DATABASE)) as superuser:
        superuser.autocommit = True
        fences = superuser.execute(FENCES).fetchall() if not are_up else []
        try:
            for table, fence in fences:
                superuser.execute(f"ALTER TABLE {table} DISABLE TRIGGER {fence}")
            yield
        finally:
            for table, fence in fences:
                superuser.execute(f"ALTER TABLE {table} ENABLE TRIGGER {fence}")


@contextlib.contextmanager
def _creating(company: Running, token: str) -> Iterator[set[int]]:
    """With hands that create tasks all the time, and the worker posting them: their statuses."""
    statuses: set[int] = set()
    enough = threading.Event()

    def work() -> None:
        while not enough.is_set():
            answer = _post(company, token, "/api/v1/tasks", {"name": "Mend it again"})
            statuses.add(answer.status_code)

    with ThreadPoolExecutor(2) as pool:
        hands = [pool.submit(work) for _ in range(2)]
        try:
            time.sleep(0.5)
            yield statuses
        finally:
            enough.set()
        for hand in hands:
            hand.result()


def _last_writes_s(company: Running, began: float) -> dict[str, float]:
    """How long after `began` each table was written to last, until now or in the next moments."""
    now = time.monotonic()
    last = dict.fromkeys(("logs", "account_transfers"), now - began)
    with psycopg.connect(company.env["DATABASE_URL"], autocommit=True) as connection:
        newest = {table: _one(connection, f"SELECT max(id) FROM {table}") for table in last}
        while time.monotonic() < now + 2 * STOP_S:
            for table, before in newest.items():
                newest[table] = _one(connection, f"SELECT max(id) FROM {table}")
                if newest[table] != before:
                    last[table] = time.monotonic() - began
            time.sleep(0.02)
    return last


def _import_backlog(company: Running, folder: Path) -> None:
    file = folder / "backlog.csv"
    with file.open("w", newline="", encoding="utf-8-sig") as written:
        writer = csv.writer(written)
        writer.writerow(["Summary", "Issue key", "Status", "Description"])
        for number in range(TASKS):
            writer.writerow([f"Mend fence {number}", f"FEN-{number}", "To Do", "First\nsecond"])
    answer = company.ates("import-tasks", str(file))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"{TASKS} tasks created")


def _keep_killing_the_worker(company: Running) -> int:
    """SIGKILL the worker again and again, each time after a new one has started."""
    killed, give_up_at = 0, time.monotonic() + 60
    while killed < KILLS and time.monotonic() < give_up_at:
        time.sleep(0.9)
        killed += company.kill("worker.py")
    return killed


def _reassign(company: Running, token: str, *, after_s: float) -> int:
    time.sleep(after_s)
    answer = _post(company, token, "/api/v1/tasks/reassignment", None)
    assert answer.status_code == 202, answer.text
    count: int = answer.json()["reassigned"]
    return count


def _post(company: Running, token: str, path: str, body: object) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.post(f"{company.address}{path}", headers=headers, json=body, timeout=60)


def _wait_until_posted(connection: psycopg.Connection[Any]) -> None:
    give_up_at = time.monotonic() + DRAIN_S
    while time.monotonic() < give_up_at:
        if "no event waits" not in findings(connection):
            return
        time.sleep(0.2)


def _assert_counts(
    connection: psycopg.Connection[Any], reassigned: int, completed: list[int]
) -> None:
    fees = _one(connection, "SELECT count(*) FROM account_transfers WHERE kind = 'assign_fee'")
    assert fees == TASKS + reassigned
    rewarded = connection.execute(
        "SELECT task_id FROM account_transfers WHERE kind = 'completion_reward' ORDER BY 1"
    ).fetchall()
    assert [row[0] for row in rewarded] == sorted(completed)
    assert len(completed) >= COMPLETIONS


def _move_clock_to_tomorrow(session: Any) -> None:
    tomorrow = clock.today(session, "UTC") + timedelta(days=1)
    clock.move_to(session, clock.start_of(session, tomorrow, "UTC") + timedelta(hours=1))


def _one(connection: psycopg.Connection[Any], statement: str) -> int:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])
