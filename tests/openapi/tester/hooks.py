"""What no schema can say about a request. Such requests are not sent."""

import schemathesis


def _is_about_the_past(value):
    """Positions after the end of the log are answered 503, those before its beginning 410."""
    return value in (None, "", "0")


def _is_wrong_as_a_whole(case):
    """Each key of an import is accepted or refused for itself."""
    if "importedApiKeys:batch" not in case.operation.path or not isinstance(case.body, dict):
        return True
    requests = case.body.get("requests")
    return not isinstance(requests, list) or len(requests) < 2


@schemathesis.hook
def filter_case(context, case):
    if case.meta is None:
        return True
    if not case.meta.generation.mode.is_positive:
        return _is_wrong_as_a_whole(case)
    # Only the holder of a key knows its credential.
    if case.operation.path.endswith(":selfRevoke"):
        return False
    query, headers, body = case.query or {}, case.headers or {}, case.body
    # Only the server makes page tokens, and each is for one list.
    if query.get("page_token"):
        return False
    if not _is_about_the_past(query.get("after")) or headers.get("Last-Event-ID"):
        return False
    # How long a token may live depends on what its key has left.
    if "derive" in case.operation.path and isinstance(body, dict) and body.get("ttl"):
        return False
    # A name cannot be cleared, so a mask that lists it needs a body that has it.
    mask = query.get("update_mask") or ""
    if "name" in str(mask).split(","):
        resource = body if isinstance(body, dict) else {}
        for wrapper in ("issued_api_key", "imported_api_key"):
            resource = resource.get(wrapper) or resource
        return bool(resource.get("name"))
    return True
