"""People to choose from, as one text: a page that offers thousands is known by what it offers."""

# A list to choose from has no more; somebody beyond it is found by words.
OFFERED_MAX = 2_000


def people_sql(source: str) -> str:
    """SQL for the first OFFERED_MAX people of `source` by login; it has `id` and `login`.

    A text with a line for each: the id, a blank, and the login; empty for nobody.
    """
    return (
        "(SELECT coalesce(string_agg(p.id || ' ' || p.login, chr(10) ORDER BY p.login), '')"
        f" FROM (SELECT id, login FROM {source} ORDER BY login LIMIT {OFFERED_MAX}) AS p)"
    )
