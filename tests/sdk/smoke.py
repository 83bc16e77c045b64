"""The round trip of an API key through `ory-client` for Python. Usage: smoke.py URL"""

import sys
import uuid

import ory_client as ory
from ory_client.exceptions import ApiException


def main(url):
    api = ory.ApiKeysApi(ory.ApiClient(ory.Configuration(host=url)))

    def verify(credential):
        return api.admin_verify_api_key(ory.VerifyApiKeyRequest(credential=credential))

    def failure(call, *arguments):
        try:
            call(*arguments)
        except ApiException as error:
            return error.status
        raise AssertionError(f"{call.__name__} did not fail")

    # Issued keys.
    policy = ory.RateLimitPolicy(quota="100", window="60s", unit="requests")
    issued = api.admin_issue_api_key(ory.IssueApiKeyRequest(
        name="smoke", actor_id="python", scopes=["read"], ttl="1h", metadata={"a": [1]}, rate_limit_policy=policy,
        ip_restriction=ory.IPRestriction(allowed_cidrs=["127.0.0.0/8"]), request_id=str(uuid.uuid4())))
    key_id = issued.issued_api_key.key_id
    assert api.admin_get_issued_api_key(key_id).name == "smoke"
    answer = verify(issued.secret)
    assert answer.is_valid and answer.key_id == key_id and answer.metadata == {"a": [1]}, answer
    changed = api.admin_update_issued_api_key(
        key_id, ory.AdminUpdateIssuedApiKeyRequest(name="renamed"), update_mask="name,metadata")
    assert (changed.name, changed.metadata, changed.scopes) == ("renamed", None, ["read"]), changed
    rotated = api.admin_rotate_issued_api_key(key_id, ory.AdminRotateIssuedApiKeyBody(scopes=["write"]))
    assert rotated.old_issued_api_key.status == "KEY_STATUS_REVOKED", rotated
    assert verify(issued.secret).error_code == "VERIFICATION_ERROR_REVOKED"
    assert verify(rotated.secret).scopes == ["write"]
    names, token = [], ""
    while True:
        page = api.admin_list_issued_api_keys(page_size=1, page_token=token, filter='actor_id="python"')
        names += [key.name for key in page.issued_api_keys]
        token = page.next_page_token
        if not token:
            break
    assert names == ["renamed", "renamed"], names
    api.admin_revoke_issued_api_key(
        rotated.issued_api_key.key_id, ory.AdminRevokeIssuedApiKeyBody(reason="REVOCATION_REASON_KEY_COMPROMISE"))
    assert not verify(rotated.secret).is_valid
    assert failure(api.admin_get_issued_api_key, str(uuid.uuid4())) == 404

    # Derived tokens.
    parent = api.admin_issue_api_key(ory.IssueApiKeyRequest(name="parent", actor_id="parent", scopes=["read"]))
    for algorithm in ("TOKEN_ALGORITHM_JWT", "TOKEN_ALGORITHM_MACAROON"):
        token = api.admin_derive_token(ory.DeriveTokenRequest(
            credential=parent.secret, algorithm=algorithm, ttl="60s", scopes=["read"], custom_claims={"a": 1})).token
        answer = verify(token.token)
        assert answer.is_valid and answer.key_id == parent.issued_api_key.key_id and token.claims["a"] == 1, answer

    # Imported keys.
    def raw(raw_key):
        return ory.ImportApiKeyRequest(raw_key=raw_key, name="imported", actor_id="python")

    imported = api.admin_import_api_key(raw("sk_python_1"))
    assert verify("sk_python_1").key_id == imported.key_id == api.admin_get_imported_api_key(imported.key_id).key_id
    renamed = api.admin_update_imported_api_key(imported.key_id, ory.AdminUpdateImportedApiKeyRequest(name="other"))
    assert renamed.name == "other", renamed
    batch = api.admin_batch_create_imported_api_keys(
        ory.BatchCreateImportedApiKeysRequest(requests=[raw("sk_python_1"), raw("sk_python_2")]))
    assert (batch.success_count, batch.failure_count) == (1, 1), batch
    assert len(api.admin_list_imported_api_keys().imported_api_keys) == 2
    api.admin_revoke_imported_api_key(imported.key_id, ory.AdminRevokeImportedApiKeyBody())
    api.admin_delete_imported_api_key(imported.key_id)
    credentials = [ory.VerifyApiKeyRequest(credential=text) for text in ("sk_python_1", "sk_python_2")]
    results = api.admin_batch_verify_api_keys(ory.BatchVerifyApiKeysRequest(requests=credentials)).results
    assert [result.is_valid for result in results] == [False, True], results
    api.revoke_api_key(ory.SelfRevokeApiKeyRequest(credential="sk_python_2"))
    assert verify("sk_python_2").error_code == "VERIFICATION_ERROR_REVOKED"
    assert failure(api.revoke_api_key, ory.SelfRevokeApiKeyRequest(credential="sk_nobody")) == 400
    assert [key.kid for key in api.get_jwks().jwks.keys] == ["first"]
    print("the round trip succeeded")


main(sys.argv[1])
