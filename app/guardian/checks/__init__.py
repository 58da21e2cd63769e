"""Everything that the guardian checks, as data. docs/guardian.md says the same for people."""

from app.guardian.checks import chain, conformance, flow, ledger, payouts
from app.guardian.checks.declaration import Check

CHECKS: tuple[Check, ...] = (
    *conformance.CHECKS,
    *ledger.CHECKS,
    *payouts.CHECKS,
    *chain.CHECKS,
    *flow.CHECKS,
)
BY_NAME: dict[str, Check] = {check.name: check for check in CHECKS}

__all__ = ["BY_NAME", "CHECKS", "Check"]
