"""What every context stands on: settings, database, actor, policy, money, clock, errors."""
