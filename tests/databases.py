"""Databases for tests: migrated once, copied when needed, and wiped clean between tests.

Wiping deletes every row and puts back those that the migrations made, which takes milliseconds
where copying a database takes a second on a busy machine. A database whose tables, privileges or
functions were changed is thrown away instead.
"""

import itertools
import os

import psycopg
from psycopg import sql

TEMPLATE = "ates_template"
_numbers = itertools.count(1)

TABLES = """
SELECT c.relname,
       array(SELECT attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
             AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY attnum) AS columns
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname
"""
SEQUENCES = """
SELECT format('SELECT setval(%L, %s, %s)', format('%I.%I', schemaname, sequencename),
              coalesce(last_value, start_value), (last_value IS NOT NULL)::text)
FROM pg_sequences WHERE schemaname = 'public'
"""
# What a wipe does not restore: relations, their columns and privileges, triggers, functions.
SHAPE = """
SELECT md5(concat(
  (SELECT string_agg(concat_ws(' ', relname, relacl, relnatts, relchecks), ',' ORDER BY relname)
   FROM pg_class WHERE relnamespace = 'public'::regnamespace),
  (SELECT string_agg(concat_ws(' ', tgrelid::regclass, tgname, tgenabled), ','
                     ORDER BY tgrelid::regclass::text, tgname)
   FROM pg_trigger WHERE NOT tgisinternal),
  (SELECT string_agg(md5(pg_get_functiondef(oid)), ',' ORDER BY oid)
   FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f')))
"""
OTHERS = """
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Databases:
    """A stock of copies of the template."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._clean = []
        with self._connect(TEMPLATE) as connection:
            self._wipe = _keep_and_wipe(connection)
            self._shape = connection.execute(SHAPE).fetchone()

    def take(self):
        """The name of a database as the migrations left it."""
        if self._clean:
            return self._clean.pop()
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self._cluster.create_database(name, TEMPLATE)
        return name

    def give_back(self, name):
        """Wipe a database for the next test, or drop it when it cannot be wiped."""
        with self._connect(name) as connection:
            connection.execute(OTHERS)
            if connection.execute(SHAPE).fetchone() == self._shape:
                connection.execute(self._wipe)
                self._clean.append(name)
                return
        with self._connect("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))

    def _connect(self, name):
        return psycopg.connect(self._cluster.superuser_url(name), autocommit=True)


def _keep_and_wipe(connection):
    """The script that goes back to the rows that the migrations made."""
    script = ["BEGIN; SET LOCAL session_replication_role = replica; SET LOCAL lock_timeout = '5s'"]
    for name, columns in connection.execute(TABLES).fetchall():
        table, names = sql.Identifier(name), sql.SQL(", ").join(map(sql.Identifier, columns))
        script.append(sql.SQL("DELETE FROM {}").format(table).as_string(connection))
        select = sql.SQL("SELECT json_agg(t)::text FROM {} t").format(table)
        (rows,) = connection.execute(select).fetchone()
        if rows is not None:
            insert = sql.SQL(
                "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE"
                " SELECT {names} FROM json_populate_recordset(NULL::{table}, {rows})"
            ).format(table=table, names=names, rows=sql.Literal(rows))
            script.append(insert.as_string(connection))
    script += [restart for (restart,) in connection.execute(SEQUENCES).fetchall()]
    return "; ".join([*script, "COMMIT"])
