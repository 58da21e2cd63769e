"""Who works at the demo company, and what there is to do."""

from __future__ import annotations

from random import Random
from typing import Any
from urllib.parse import urlsplit

from app.kernel.policy import Role
from app.kernel.settings import Settings

# Demo accounts are refused unless the address is the loopback's (see history.seed).
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
PASSWORD = "a-parrot-is-paid-daily"  # noqa: S105 - demo accounts on loopback only

STAFF: tuple[tuple[str, Role], ...] = (
    ("admin", Role.ADMINISTRATOR),
    ("boss", Role.BOSS),
    ("manager", Role.MANAGER),
    ("manager2", Role.MANAGER),
    ("accountant", Role.ACCOUNTANT),
)
EMPLOYEES: tuple[str, ...] = (
    "ara",
    "bianca",
    "chirik",
    "dasha",
    "echo",
    "fedya",
    "gosha",
    "hyacinth",
    "inka",
    "jaco",
    "kesha",
    "lori",
    "mango",
    "nympha",
    "ollie",
    "pesto",
    "rio",
    "senegal",
    "tiki",
    "zhora",
)
PEOPLE: tuple[tuple[str, Role], ...] = STAFF + tuple(
    (login, Role.OTHER if number % 7 == 6 else Role.DEVELOPER)
    for number, login in enumerate(EMPLOYEES)
)

# Whose newest fee was wrong and why, and whether its reversal is approved or waits for that.
WRONG: dict[str, tuple[str, bool]] = {
    "ara": ("Was on leave when the task was drawn", True),
    "bianca": ("The same task had been created twice", False),
}

# Whom the sign-in page of a demo offers: one of each role.
OFFERED = ("admin", "manager", "boss", "accountant", "ara", "bianca", "gosha")

_WORK: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "AV",
        ("Repair", "Repaint", "Measure", "Reinforce", "Inspect"),
        ("the north aviary gate", "the perches in hall 3", "the mist sprinklers", "the roof mesh"),
    ),
    (
        "SEED",
        ("Order", "Weigh", "Compare prices of", "Label", "Rotate the stock of"),
        (
            "sunflower seed",
            "millet for the finches",
            "nut mix B",
            "dried mango",
            "pellets for chicks",
        ),
    ),
    (
        "WEB",
        ("Fix", "Speed up", "Translate", "Add tests for", "Write the help page for"),
        ("the sign-in form", "the delivery calendar", "the price list export", "the search box"),
    ),
    (
        "OPS",
        ("Update", "Restore a backup of", "Document", "Monitor", "Move"),
        ("the mail server", "the camera recorder", "the climate sensors", "the ticket printer"),
    ),
    (
        "CARE",
        ("Weigh", "Schedule the vet for", "Clip the claws of", "Write a report on"),
        ("the cockatoos", "the new macaws", "the hand-raised chicks", "the retired greys"),
    ),
)


def sign_in_offer(settings: Settings) -> dict[str, Any]:
    """What the sign-in page shows: accounts and their password, in a demo on loopback only."""
    if not settings.demo or urlsplit(settings.public_url).hostname not in LOOPBACK:
        return {}
    accounts = [{"login": login, "role": role.value} for login, role in PEOPLE if login in OFFERED]
    return {"demo_accounts": accounts, "demo_password": PASSWORD}


def draw_task(random: Random, number: int) -> tuple[str, str]:
    """A task's name with its ticket key, and its description."""
    project, verbs, objects = random.choice(_WORK)
    name = f"[{project}-{number}] {random.choice(verbs)} {random.choice(objects)}"
    if random.random() < 0.6:
        return name, ""
    return name, f"Asked for by the {random.choice(('morning', 'evening', 'weekend'))} shift."
