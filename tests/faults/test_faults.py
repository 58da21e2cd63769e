"""Each fault in a short form, and its sabotaged control; `bin/faults` plays them long."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from tests.faults.storm import Stage
from tests.faults.system import system
from tests.faults.table import BY_NUMBER, Fault

# Whom a fault took a connection from does not close it: it is collected, here and not in a test
# of another file.
pytestmark = pytest.mark.filterwarnings("ignore:.*deleted while still open:ResourceWarning")
# A seed to play again: ATES_FAULT_SEED=… bin/test tests/faults
SEED = int(os.environ.get("ATES_FAULT_SEED", "1"))
# In an order that starts programs again seldom: first what leaves them as they are.
SHORT = (3, 19, 18, 14, 15, 20, 21, 23, 24, 25, 22, 1, 10, 11, 12, 30, 16, 26, 2, 17)
CONTROLS = (18, 14, 15, 20, 21, 23, 24, 25, 22, 19, 12, 11, 30, 10, 3, 16, 26, 1, 2, 17)
# What CI's machine can play it must play.
IS_CI = os.environ.get("CI") == "true" and os.geteuid() == 0


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with system(tmp_path_factory.mktemp("faults") / "data") as running:
        yield Stage(running, seconds=1.5, rounds=1, is_short=True)
    gc.collect()


def _named(numbers: tuple[int, ...]) -> list[object]:
    return [pytest.param(BY_NUMBER[n], id=f"{n} {BY_NUMBER[n].name}") for n in numbers]


@pytest.mark.parametrize("fault", _named(SHORT))
def test_nothing_is_lost_or_doubled(stage: Stage, fault: Fault) -> None:
    _require(fault)
    outcome = fault.run(stage, SEED)

    assert (outcome.lost, outcome.doubled, outcome.wrong) == (0, 0, []), f"seed {SEED}"


@pytest.mark.parametrize("fault", _named(CONTROLS))
def test_the_sabotaged_control_fails(stage: Stage, fault: Fault) -> None:
    _require(fault)
    outcome = fault.control(stage, SEED)

    assert outcome.is_noticed, f"{fault.sabotage} went unnoticed: {outcome.harm()}"


def _require(fault: Fault) -> None:
    """Skip a fault that this machine cannot play."""
    if reason := fault.impossible():
        pytest.fail(reason) if IS_CI else pytest.skip(f"not played here: {reason}")
