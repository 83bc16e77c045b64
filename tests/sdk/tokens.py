"""Derived tokens and the libraries of others: PyJWT and pymacaroons. Usage: tokens.py URL SECRET ALGORITHM"""

import hashlib
import hmac
import json
import sys
import urllib.request

import jwt
from pymacaroons import MACAROON_V2, Macaroon, Verifier

ISSUER = "https://issuer.example"
AUDIENCE = "https://search.example"


def main(url, secret, algorithm):
    def call(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url + path, data=data)) as answer:
            return json.load(answer)

    def derive(**wanted):
        return call("/v2alpha1/admin/apiKeys:derive", {"credential": credential, **wanted})["token"]["token"]

    def verify(token, **expected):
        return call("/v2alpha1/admin/apiKeys:verify", {"credential": token, **expected})

    issued = call("/v2alpha1/admin/issuedApiKeys", {"name": "parent", "actor_id": "python", "scopes": ["read", "write"]})
    credential, key_id = issued["secret"], issued["issued_api_key"]["key_id"]

    # A JWT made by the server holds elsewhere, through the published keys alone.
    token = derive(ttl="5m", scopes=["read"], audiences=[AUDIENCE], custom_claims={"role": "indexer"})
    header = jwt.get_unverified_header(token)
    assert header["alg"] == algorithm, header
    keys = jwt.PyJWKSet.from_dict({"keys": call("/v2alpha1/derivedKeys/jwks.json")["keys"]})

    def decode(text):
        required = ["exp", "iat", "nbf", "iss", "sub", "jti", "aud"]
        return jwt.decode(text, keys[header["kid"]].key, algorithms=["EdDSA", "RS256"], audience=AUDIENCE, issuer=ISSUER,
                          options={"require": required})

    claims = decode(token)
    assert (claims["sub"], claims["oid"], claims["scp"], claims["role"]) == (key_id, "python", ["read"], "indexer"), claims
    head, payload, signature = token.split(".")
    altered = ("A" if signature[9] != "A" else "B").join((signature[:9], signature[10:]))
    try:
        decode(".".join((head, payload, altered)))
    except jwt.InvalidSignatureError:
        pass
    else:
        raise AssertionError("an altered signature was accepted")
    assert verify(token, expected_audiences=[AUDIENCE])["is_valid"]

    # A macaroon made by the server parses and holds elsewhere, and can be narrowed there.
    root_key = hmac.new(secret.encode(), b"talos/macaroon/v1/root-key", hashlib.sha256).digest()
    prefix, body = derive(algorithm="TOKEN_ALGORITHM_MACAROON", ttl="5m").split("_v1_")
    macaroon = Macaroon.deserialize(body)
    verifier = Verifier()
    verifier.satisfy_general(lambda caveat: True)
    assert verifier.verify(macaroon, root_key)
    macaroon.add_first_party_caveat('{"scp":["read"]}')
    narrowed = verify(f"{prefix}_v1_{macaroon.serialize()}")
    assert narrowed["is_valid"] and narrowed["scopes"] == ["read"], narrowed
    macaroon.add_first_party_caveat('{"scp":["read","write"]}')
    assert not verify(f"{prefix}_v1_{macaroon.serialize()}")["is_valid"]

    # One that was made elsewhere, with the root key, holds here.
    made_here = json.loads(macaroon.caveats[0].caveat_id)
    made_there = {**made_here, "jti": "made-elsewhere", "scp": ["write"]}
    caveat = json.dumps(made_there, separators=(",", ":"))

    def mint(key):
        minted = Macaroon(location=ISSUER, identifier=made_there["jti"], key=key, version=MACAROON_V2)
        minted.add_first_party_caveat(caveat)
        return verify(f"{prefix}_v1_{minted.serialize()}")

    accepted = mint(root_key)
    assert accepted["is_valid"] and accepted["scopes"] == ["write"] and accepted["key_id"] == key_id, accepted
    assert mint(b"another key")["error_code"] == "VERIFICATION_ERROR_SIGNATURE_INVALID"
    print("the tokens hold")


main(*sys.argv[1:])
