"""What a page's form was sent with, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from flask import request

from app.kernel.errors import AtesError, BadInput
from app.web.language import translated


@dataclass(slots=True)
class Form:
    """Values and errors by field name; the error of the whole form is under the empty name."""

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def sent(cls, *names: str) -> Self:
        """The named fields of the request's form; one that is missing is empty."""
        return cls({name: request.form.get(name, "") for name in names})

    @classmethod
    def filled(cls, values: Mapping[str, str | None]) -> Self:
        """A form to be shown, with these values."""
        return cls({name: value or "" for name, value in values.items()})

    def refuse(self, error: AtesError) -> Self:
        """Mark what `error` found, in the reader's language."""
        fields = error.fields if isinstance(error, BadInput) else {}
        self.errors = {name: translated(message) for name, message in fields.items()}
        if not fields:
            self.errors[""] = translated(error.message)
        return self

    def __getitem__(self, name: str) -> str:
        return self.values[name]
