"""Pages and files go over the wire as gzip, to those who take it."""

from __future__ import annotations

import gzip
import re

import pytest
from flask.testing import FlaskClient

GZIP = {"Accept-Encoding": "gzip"}
FIRST_VISIT_BYTES_MAX = 60_000


def test_a_page_is_compressed_for_who_takes_it(client: FlaskClient) -> None:
    plain = client.get("/sign-in")
    packed = client.get("/sign-in", headers=GZIP)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert b"</html>" in gzip.decompress(packed.data)
    assert len(packed.data) < len(plain.data) / 2


def test_the_length_of_a_page_tells_nothing(client: FlaskClient) -> None:
    lengths = {len(client.get("/sign-in", headers=GZIP).data) for _ in range(20)}
    assert len(lengths) > 5


@pytest.mark.parametrize("encodings", ["identity", "gzip;q=0", "br"])
def test_who_does_not_take_gzip_gets_none(client: FlaskClient, encodings: str) -> None:
    response = client.get("/sign-in", headers={"Accept-Encoding": encodings})
    assert "Content-Encoding" not in response.headers


def test_short_answers_stay_as_they_are(client: FlaskClient) -> None:
    assert "Content-Encoding" not in client.get("/healthz", headers=GZIP).headers


def test_a_file_may_be_kept_and_asked_for_again(client: FlaskClient) -> None:
    first = client.get("/static/components.css?v=1", headers=GZIP, buffered=True)
    assert first.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "Cookie" not in first.headers["Vary"]
    again = client.get(
        "/static/components.css?v=1",
        headers={**GZIP, "If-None-Match": first.headers["ETag"]},
        buffered=True,
    )
    assert again.status_code == 304
    assert again.data == b""


def test_a_head_request_has_no_body(client: FlaskClient) -> None:
    response = client.head("/sign-in", headers=GZIP)
    assert response.status_code == 200
    assert response.data == b""


def test_a_first_visit_is_light(client: FlaskClient) -> None:
    page = client.get("/sign-in", headers=GZIP)
    text = gzip.decompress(page.data).decode()
    files = [url.replace("&amp;", "&") for url in re.findall(r'"(/static/[^"]+)"', text)]
    assert len(files) + 1 <= 8
    loaded = [client.get(url, headers=GZIP, buffered=True) for url in files]
    assert {response.status_code for response in loaded} == {200}
    assert len(page.data) + sum(len(response.data) for response in loaded) < FIRST_VISIT_BYTES_MAX
