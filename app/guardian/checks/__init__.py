"""Everything that the guardian checks, as data. docs/guardian.md says the same for people."""

from app.guardian.checks import chain, conformance, flow, ledger, payouts
from app.guardian.checks.declaration import Check
from app.guardian.checks.flow import HEARTBEAT

CHECKS: tuple[Check, ...] = (
    *conformance.CHECKS,
    *ledger.CHECKS,
    *payouts.CHECKS,
    *chain.CHECKS,
    *flow.CHECKS,
)
BY_NAME: dict[str, Check] = {check.name: check for check in CHECKS}
# All that can be found: by the rounds, and that there are rounds.
RULES: tuple[Check, ...] = (*CHECKS, HEARTBEAT)

__all__ = ["BY_NAME", "CHECKS", "HEARTBEAT", "RULES", "Check"]
