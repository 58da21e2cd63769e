"""The web container's health: exit code 0 if /readyz says that it can serve."""

import os
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

HOST = urlsplit(os.environ.get("PUBLIC_URL", "")).netloc or "127.0.0.1"
REQUEST = urllib.request.Request("http://127.0.0.1:8000/readyz", headers={"Host": HOST})

try:
    urllib.request.urlopen(REQUEST, timeout=4).close()  # noqa: S310 -- the address above
except urllib.error.URLError as error:
    sys.exit(f"not ready: {error}")
