"""The blueprint that the context's pages hang on."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("guardian", __name__, url_prefix="/system")
