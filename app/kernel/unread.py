"""How many lines of their notifications somebody has not read: what the header of each page says.

It is part of the statement that finds who is signed in, so that no page asks once more for it.
"""

# Counted up to here: one more than what the header can show.
UNREAD_MAX = 100


def unread_sql(user_id: str) -> str:
    """SQL for the number of unread lines of the user whose id the expression `user_id` is."""
    return (
        "(SELECT count(*) FROM (SELECT FROM notifications unread"
        f" WHERE unread.user_id = {user_id} AND unread.id > coalesce("
        f"(SELECT r.read_up_to FROM notification_readers r WHERE r.user_id = {user_id}), 0)"
        f" LIMIT {UNREAD_MAX}) AS bounded)"
    )
