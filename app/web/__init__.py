"""The edge: sessions, policies, CSRF, headers, errors, idempotency, htmx, languages, OpenAPI."""
