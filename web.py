"""The web application, as gunicorn serves it."""

from __future__ import annotations

import gc

from app import create_app
from app.guardian import heartbeat

# A page makes thousands of objects, few of them in a cycle; what is there before the first request
# stays, and need not be looked through again.
GC_THRESHOLD = 10_000

app = create_app()
heartbeat.watch(app)
gc.freeze()
gc.set_threshold(GC_THRESHOLD)
