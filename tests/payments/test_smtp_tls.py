"""TLS and a password towards the mail server: verified, and never in the clear."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from app.kernel import settings as kernel_settings
from app.payments import commands
from tests.company import Company

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates")
SECRET = b"a p@ss/word"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, its key in the same file."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        " -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls_server(
    certificate: Path, mail_server: Callable[..., Any], company: Company
) -> Callable[..., Any]:
    """A server that takes mail over STARTTLS, from whoever knows the password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    def allows(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and given.password == SECRET
        return AuthResult(success=right, handled=False)

    def make(word: str = "a%20p%40ss%2Fword", options: str = "?starttls=1") -> Any:
        server = mail_server(
            tls_context=context,
            require_starttls=True,
            authenticator=allows,
            auth_required=True,
            hostname="localhost",
        )
        url = f"smtp://ates:{word}@localhost:{server.port}{options}"
        kernel_settings.use(replace(company.settings, smtp_url=url))
        return server

    return make


def test_a_mail_goes_over_tls_with_the_password(
    company: Company,
    tls_server: Any,
    paid: Any,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    server = tls_server()
    paid()
    assert company.call(commands.send_due_mail) == 1
    assert server.temper.taken == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(
    company: Company, tls_server: Any, paid: Any
) -> None:
    server = tls_server()
    paid()
    assert company.call(commands.send_due_mail) == 0
    assert "CERTIFICATE_VERIFY_FAILED" in company.value("SELECT last_error FROM emails")
    assert server.temper.taken == 0


def test_a_wrong_password_is_told_and_not_shown(
    company: Company,
    tls_server: Any,
    paid: Any,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    tls_server(word="guess")
    paid()
    assert company.call(commands.send_due_mail) == 0
    error = company.value("SELECT last_error FROM emails")
    assert "535 the mail server did not take the name and password" in error
    assert "guess" not in error
