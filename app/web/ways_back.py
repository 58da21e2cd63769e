"""Where an address that only takes forms leads when somebody opens it: to the page of its form.

Such an address stands in the browser after a form came back with its errors: a reload, a bookmark
or a link of the history then asks for it with GET. Its form is on a page whose address it begins
with: `/settings/password` is sent from `/settings`, `/people/7/role` from `/people/7`.
"""

from __future__ import annotations

from flask import current_app, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from app.web import access
from app.web.sessions import is_api, signed_in


def page_of_the_form() -> str | None:
    """The page above this request's address that its reader may open, else their first page.

    Nobody is led to the page itself, and so to sign in for it. None where nobody opened anything:
    the request is no GET, or the API's.
    """
    if request.method not in {"GET", "HEAD"} or is_api():
        return None
    path = request.path
    while path := path.rpartition("/")[0]:
        if _may_open(path):
            return path
    return url_for("web.home")


def _may_open(path: str) -> bool:
    adapter = current_app.create_url_adapter(request)
    try:
        endpoint, _ = adapter.match(path, method="GET") if adapter else ("", {})
    except (HTTPException, RequestRedirect):
        return False
    action = access.policies(current_app).get(str(endpoint), "")
    user = signed_in()
    return user is None or action == access.PUBLIC or user.may(action)
