"""Analytics for administrators: today's income, negative balances, the most expensive task."""
