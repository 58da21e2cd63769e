"""Keeps the translations in step with the sources: `bin/translate`, then fill in what is missing.

Strings come from gettext calls in app/ and templates/ (babel.cfg says where), and from what the
error family is raised with: `Conflict("…")`, `BadInput(fields={"name": "…"})`, `said("…")`, the
classes' titles, and the guardian's rules. Those are translated where they are shown.
"""

from __future__ import annotations

import argparse
import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from app.guardian.checks import RULES

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = ("ru",)
WIDTH = 98
KEYWORDS = {
    "_": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "said": None,
}
# What a command or the edge refuses with; its first words, and those of its fields, are shown.
REFUSALS = {
    "BadInput",
    "Conflict",
    "Forbidden",
    "Malformed",
    "NotFound",
    "TooLarge",
    "TooManyRequests",
    "Unavailable",
}
FAMILY = REFUSALS | {"AtesError", "NotSignedIn"}
# Where nothing is said to a person who reads pages: the command line, and the API alone.
NOT_SHOWN = (
    "app/cli.py",
    "app/auth/cli.py",
    "app/auth/actors.py",
    "app/demo/",
    "app/kernel/money.py",
    "app/outbox/archive",
    "app/outbox/owner.py",
    "app/outbox/rebase.py",
)
NOT_SHOWN_NAMES = ("api.py", "openapi.py")

Found = tuple[str | tuple[str, ...], str, int]


def main() -> int:
    """Bring the .po files up to date and compile them; exit code 1 when something is missing."""
    parser = argparse.ArgumentParser(prog="bin/translate", description=__doc__)
    parser.parse_args()
    template = extracted()
    lacking = 0
    for language in LANGUAGES:
        catalog = updated(language, template)
        po_path(language).write_bytes(po_bytes(catalog))
        with po_path(language).with_suffix(".mo").open("wb") as file:
            write_mo(file, catalog)
        for message in untranslated(catalog):
            lacking += 1
            sys.stderr.write(f"{po_path(language)}: {message!r}\n")
    return 1 if lacking else 0


def extracted() -> Catalog:
    """Every string of the sources, with the files that hold it."""
    catalog = Catalog(project="aTES", charset="utf-8")
    for message, file, _line in sorted(_all(), key=lambda found: (found[1], found[2])):
        catalog.add(message, locations=[(file, 0)])
    return catalog


def updated(language: str, template: Catalog) -> Catalog:
    """The language's catalog with the strings of `template`, and no others."""
    path = po_path(language)
    catalog = Catalog(locale=language)
    if path.exists():
        with path.open("rb") as file:
            catalog = read_po(file, locale=language)
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    return catalog


def untranslated(catalog: Catalog) -> list[str]:
    """Strings that are missing, in one of their plural forms, or are marked as uncertain."""
    return [
        str(message.id)
        for message in catalog
        if message.id and (message.fuzzy or not _is_complete(message.string))
    ]


def po_path(language: str) -> Path:
    """Where the translations into `language` are kept."""
    return ROOT / "translations" / language / "LC_MESSAGES" / "messages.po"


def po_bytes(catalog: Catalog) -> bytes:
    """The catalog as its file, without line numbers and dates: it changes with words only."""
    file = io.BytesIO()
    write_po(file, catalog, width=WIDTH, omit_header=True, include_lineno=False)
    return _header(catalog) + file.getvalue()


def _header(catalog: Catalog) -> bytes:
    return (
        'msgid ""\nmsgstr ""\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n'
        f'"Language: {catalog.locale}\\n"\n'
        f'"Plural-Forms: {catalog.plural_forms}\\n"\n\n'
    ).encode()


def _is_complete(string: str | tuple[str, ...] | list[str] | None) -> bool:
    if string is None or isinstance(string, str):
        return bool(string)
    return bool(string) and all(string)


def _all() -> Iterator[Found]:
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    for name, line, message, *_ in extract_from_dir(
        ROOT, methods, options, keywords=KEYWORDS, directory_filter=_is_source
    ):
        if not _is_silent(name):
            yield message, name, line
    for path in sorted((ROOT / "app").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not _is_silent(name):
            for text, line in refusals(ast.parse(path.read_text())):
                yield text, name, line
    for number, check in enumerate(RULES):
        for text in (check.name, check.means, check.to_do):
            yield text, "app/guardian/checks", number


def _is_source(folder: str) -> bool:
    """Whether to look into a folder: not into what is installed or left behind here."""
    path = Path(folder)
    return path == ROOT or path.relative_to(ROOT).parts[0] in {"app", "templates"}


def _is_silent(name: str) -> bool:
    return name.startswith(NOT_SHOWN) or name.endswith(NOT_SHOWN_NAMES)


def refusals(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The words that errors are raised with, and the titles of error classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in REFUSALS:
            fields = [keyword.value for keyword in node.keywords if keyword.arg == "fields"]
            dicts = [value for value in fields if isinstance(value, ast.Dict)]
            for value in [*node.args[:1], *(value for each in dicts for value in each.values)]:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value, value.lineno
        if isinstance(node, ast.ClassDef) and any(_name(base) in FAMILY for base in node.bases):
            yield from _title(node)


def _title(node: ast.ClassDef) -> Iterator[tuple[str, int]]:
    for line in node.body:
        if (
            isinstance(line, ast.Assign)
            and _name(line.targets[0]) == "title"
            and isinstance(line.value, ast.Constant)
        ):
            yield str(line.value.value), line.lineno


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


if __name__ == "__main__":
    sys.exit(main())
