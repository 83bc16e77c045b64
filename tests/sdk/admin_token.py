"""Admin tokens with `ory-client` for Python. Usage: admin_token.py URL READER WRITER"""

import sys

import ory_client as ory
from ory_client.exceptions import ApiException


def main(url, reader, writer):
    def outcomes(token):
        configuration = ory.Configuration(host=url, access_token=token)
        api = ory.ApiKeysApi(ory.ApiClient(configuration))

        def status(call, request):
            try:
                call(request)
                return 200
            except ApiException as error:
                return error.status

        issue = ory.IssueApiKeyRequest(name="n", actor_id="a")
        verify = ory.VerifyApiKeyRequest(credential="unknown")
        return status(api.admin_issue_api_key, issue), status(api.admin_verify_api_key, verify)

    assert outcomes(None) == (401, 401), outcomes(None)
    assert outcomes("wrong") == (401, 401), outcomes("wrong")
    assert outcomes(reader) == (403, 200), outcomes(reader)
    assert outcomes(writer) == (200, 200), outcomes(writer)
    print("the tokens open what they may")


main(*sys.argv[1:])
