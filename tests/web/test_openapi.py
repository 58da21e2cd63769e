"""The API's description, and the page that shows it."""

import re

OPERATIONS = {
    "register_user": ("post", "/api/v1/users"),
    "auth_user": ("post", "/api/v1/tokens"),
    "revoke_token": ("delete", "/api/v1/tokens/current"),
    "create_task": ("post", "/api/v1/tasks"),
    "reassign_tasks": ("post", "/api/v1/tasks/reassignment"),
    "show_reassignment": ("get", "/api/v1/tasks/reassignments/{reassignment_id}"),
    "complete_task": ("post", "/api/v1/tasks/{task_id}/completion"),
    "show_my_assigned_tasks": ("get", "/api/v1/me/tasks"),
    "show_all_assigned_tasks": ("get", "/api/v1/tasks"),
    "show_balance": ("get", "/api/v1/me/balance"),
    "show_account_transfers": ("get", "/api/v1/me/transfers"),
    "pay_to_workers": ("post", "/api/v1/payouts"),
    "show_all_account_transfers": ("get", "/api/v1/transfers"),
    "today_income": ("get", "/api/v1/analytics/today-income"),
    "negative_balances": ("get", "/api/v1/analytics/negative-balances"),
    "show_the_most_expensive_task": ("get", "/api/v1/analytics/most-expensive-task"),
}
METHODS = {"get", "post", "put", "patch", "delete"}


def described(client):
    return client.get("/api/v1/openapi.json").json


def operations(api):
    for path, item in api["paths"].items():
        for method in METHODS & item.keys():
            yield method, path, item[method]


def test_every_operation_is_there_under_its_name(client):
    api = described(client)
    assert api["openapi"].startswith("3.1")
    found = {item["operationId"]: (method, path) for method, path, item in operations(api)}
    assert found == OPERATIONS


def test_every_route_of_the_api_is_described(app, client):
    described_paths = {(method.upper(), path) for method, path, _ in operations(described(client))}
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/v1/") and rule.endpoint != "api-docs.openapi_json":
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            for method in rule.methods - {"HEAD", "OPTIONS"}:
                assert (method, path) in described_paths


def test_each_says_who_may_and_what_can_go_wrong(client):
    api = described(client)
    assert api["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for method, path, item in operations(api):
        public = item["operationId"] in {"register_user", "auth_user"}
        assert item.get("security", api["security"]) == ([] if public else [{"bearer": []}])
        assert "summary" in item, path
        if not public:
            assert {"401", "403"} <= item["responses"].keys()
        if method == "post":
            names = {parameter.get("name") for parameter in item["parameters"]}
            assert "Idempotency-Key" in names, path
    for response in api["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]


def test_the_page_has_nothing_that_the_csp_refuses(client):
    page = client.get("/api/docs").text
    assert 'src="/static/api-docs.js?v=' in page
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"\son\w+=|\sstyle=|<style", page)
    assert not re.search(r'(src|href)="(https?:)?//', page)


def test_the_page_shows_who_is_signed_in_though_the_api_takes_no_cookies(sign_in, make_user):
    user = make_user("developer", "kesha")
    assert "kesha" in sign_in(user).get("/api/docs").text
