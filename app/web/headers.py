"""Security and caching headers of every answer."""

from __future__ import annotations

from flask import Flask, Response, request, session

from app.kernel.settings import Settings

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Not `no-referrer`: over TLS the CSRF check compares the Referer of our own pages.
SECURITY = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HSTS = "max-age=31536000; includeSubDomains"
IMMUTABLE = "public, max-age=31536000, immutable"


def init_app(app: Flask, settings: Settings) -> None:
    """Add the headers to each answer of `app`."""
    fixed = list(SECURITY.items())
    if settings.cookie_secure:
        fixed.append(("Strict-Transport-Security", HSTS))

    @app.after_request
    def add(response: Response) -> Response:
        headers = response.headers
        headers.extend(fixed)
        if request.endpoint == "static":
            # Addresses that asset() makes hold the content's hash.
            headers["Cache-Control"] = IMMUTABLE if "v" in request.args else "no-cache"
            # flask-login looked into it; a file is the same for everyone: no "Vary: Cookie".
            session.accessed = False
            return response
        if "Cache-Control" not in headers:
            headers["Cache-Control"] = "no-store"
        if response.mimetype == "text/html":
            headers.add("Vary", "HX-Request")
        return response
