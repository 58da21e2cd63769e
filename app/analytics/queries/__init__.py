"""Reads of Analytics: money, tasks, and how both went over time."""

from app.analytics.queries.dear import DearStep, expensive_over_time, most_expensive_tasks
from app.analytics.queries.money import (
    Income,
    PeriodName,
    balance_sums,
    income_by_day,
    negative_balances,
    negative_count,
    period_until,
    tasks_by_day,
    today_income,
)
from app.analytics.queries.tasks import (
    finishing_times,
    reshuffled,
    tasks_after,
)
from app.analytics.queries.trends import Comparison, income_compared, negative_trend

__all__ = [
    "Comparison",
    "DearStep",
    "Income",
    "PeriodName",
    "balance_sums",
    "expensive_over_time",
    "finishing_times",
    "income_by_day",
    "income_compared",
    "most_expensive_tasks",
    "negative_balances",
    "negative_count",
    "negative_trend",
    "period_until",
    "reshuffled",
    "tasks_after",
    "tasks_by_day",
    "today_income",
]
