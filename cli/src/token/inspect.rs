//! Recognises the kind of a credential by its form, in the same order as a server, and describes
//! it.

use serde_json::{Value, json};
use talos_credentials::imported_key_id;
use talos_credentials::issued::IssuedKey;
use talos_credentials::token::{Claims, Jwt, Macaroon, Narrowing, TokenFault, TokenType};
use talos_model::TenantId;
use talos_model::clock::UnixMillis;

use super::report::Report;
use super::validity;

/// The base64url of `{"`, with which every JWT begins.
const JWT: &str = "eyJ";
/// Separates prefix and content of issued keys and macaroons.
const VERSION: &str = "_v1_";
/// The beginning of macaroons with the default prefix.
const DEFAULT_MACAROON: &str = "mc_v1_";
/// What is not checked of derived tokens, besides the signature.
const DERIVED_NOT_CHECKED: [&str; 5] = [
    "issuer and tenant: whether they are those of the server",
    "revocation: whether the key that it was derived from is still valid",
    "audience: whether it is meant for the service that receives it",
    "address: whether it is used from an allowed address",
    "clock: times are compared with this machine's, without the server's tolerance",
];

/// Describes `credential` as far as that is possible without a server; `now` is the current time.
pub(crate) fn report(credential: &str, now: UnixMillis) -> Report {
    if credential.starts_with(JWT) && credential.matches('.').count() == 2 {
        return jwt(credential, now);
    }
    match Macaroon::parse(credential) {
        Ok(macaroon) => return known_macaroon(&macaroon, now),
        Err(TokenFault::CaveatRefused) => {
            return refused_macaroon("it has a third-party caveat, which no server accepts");
        }
        Err(_) if credential.starts_with(DEFAULT_MACAROON) => {
            return refused_macaroon(
                "it begins like a macaroon but is not one; perhaps a part is missing",
            );
        }
        Err(_) => {}
    }
    match IssuedKey::parse(credential.as_bytes()) {
        Some(key) => issued(&key),
        None => imported(credential),
    }
}

fn issued(key: &IssuedKey<'_>) -> Report {
    Report::default()
        .with("shape", "issued_key")
        .with("prefix", String::from_utf8_lossy(key.prefix))
        .with("issue_time", validity::instant(key.issue_time.seconds()))
        .with("key_id", key.uuid.to_string())
        .with_each(
            "not_checked",
            texts([
                "checksum: checking it needs the server's secret",
                "prefix: whether it is one of the server's",
                "existence, revocation and expiry: only the server knows the key",
                "address and rate limit: only the server knows them",
            ]),
        )
}

fn imported(credential: &str) -> Report {
    let damaged = credential.contains(VERSION).then_some(
        "it contains _v1_, as issued keys and macaroons do, but is neither; perhaps a part is missing",
    );
    let id = imported_key_id(TenantId::SINGLE, credential.as_bytes());
    Report::default()
        .with("shape", "imported_key")
        .with("key_id", id.to_string())
        .with_some("remark", damaged)
        .with_each(
            "not_checked",
            texts([
                "existence, revocation and expiry: only the server knows whether such a key was imported",
                "tenant: the key id is the one in a server without tenants; it differs in every tenant",
                "address and rate limit: only the server knows them",
            ]),
        )
}

fn jwt(credential: &str, now: UnixMillis) -> Report {
    let report = Report::default().with("shape", "jwt");
    let Ok(jwt) = Jwt::parse(credential) else {
        return report.with_problem(
            "it is not three parts of canonical base64url of which the first two are JSON objects with unique names",
        );
    };
    let seconds = |name: &str| jwt.payload().get(name).and_then(Value::as_i64);
    let claims = jwt.unverified_claims();
    let report = report
        .with("header", jwt.header().clone())
        .with("claims", jwt.payload().clone())
        .with_some(
            "key_id",
            claims.as_ref().ok().map(|claims| claims.key_id.to_string()),
        )
        .with_some("expire_time", seconds("exp").map(validity::instant))
        .with(
            "validity",
            validity::in_words(now, seconds("nbf"), seconds("exp")),
        );
    let report = match claims {
        Ok(_) => report,
        Err(_) => report
            .with_problem("its header or its claims are not those of a derived token of Talos"),
    };
    let signature =
        "signature: checking it needs the server's public keys, /v2alpha1/derivedKeys/jwks.json";
    report.with_each("not_checked", derived_not_checked(signature))
}

fn known_macaroon(macaroon: &Macaroon, now: UnixMillis) -> Report {
    let mut caveats = macaroon.caveats().map(caveat_value);
    let report = Report::default()
        .with("shape", "macaroon")
        .with("prefix", macaroon.prefix())
        .with_some("location", macaroon.location().map(String::from_utf8_lossy))
        .with("identifier", String::from_utf8_lossy(macaroon.identifier()))
        .with_some("claims", caveats.next())
        .with_each("caveats", caveats.collect());
    let report = match macaroon.unverified_claims() {
        Ok(claims) => report
            .with("result", result(&claims))
            .with("key_id", claims.key_id.to_string())
            .with("expire_time", validity::instant(claims.expires_at_s))
            .with(
                "validity",
                validity::in_words(now, Some(claims.not_before_s), Some(claims.expires_at_s)),
            ),
        Err(_) => report.with_problem(refusal(macaroon)),
    };
    let mut not_checked = derived_not_checked("signature: checking it needs the server's secret");
    // The signature does not cover the prefix.
    not_checked.push(
        "prefix: whether it is one of the server's; if not, the server treats this as an imported key".into(),
    );
    report.with_each("not_checked", not_checked)
}

fn refused_macaroon(problem: &str) -> Report {
    Report::default()
        .with("shape", "macaroon")
        .with_problem(problem)
}

/// The caveat as JSON, or as text if it is not JSON.
fn caveat_value(caveat: &[u8]) -> Value {
    serde_json::from_slice(caveat).unwrap_or_else(|_| String::from_utf8_lossy(caveat).into())
}

/// What all caveats together allow.
fn result(claims: &Claims) -> Value {
    let blocks: Vec<String> = claims
        .allowed_cidrs
        .iter()
        .map(ToString::to_string)
        .collect();
    let anywhere = json!("anywhere");
    json!({
        "scopes": claims.scopes,
        "allowed_cidrs": if blocks.is_empty() { anywhere } else { json!(blocks) },
        "not_before": validity::instant(claims.not_before_s),
        "expire_time": validity::instant(claims.expires_at_s),
        "audiences": claims.audiences,
    })
}

/// Why the macaroon allows nothing. The first caveat is the server's; the others are counted from
/// 0, as they are shown.
fn refusal(macaroon: &Macaroon) -> String {
    let mut caveats = macaroon.caveats();
    let first = caveats.next().unwrap_or_default();
    let Ok(mut claims) = Claims::from_json(first, TokenType::Macaroon) else {
        return "its first caveat does not hold the claims of a derived token of Talos".to_owned();
    };
    let refused = caveats.position(|caveat| {
        Narrowing::parse(caveat)
            .and_then(|narrowing| narrowing.apply(&mut claims))
            .is_err()
    });
    match refused {
        Some(index) => {
            format!(
                "caveats.{index} is unknown or would allow more than the caveats before it, so nothing is allowed"
            )
        }
        None => "its identifier is not the jti of its claims".to_owned(),
    }
}

fn derived_not_checked(signature: &str) -> Vec<Value> {
    let all = std::iter::once(signature).chain(DERIVED_NOT_CHECKED);
    all.map(Value::from).collect()
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<Value> {
    texts.map(Value::from).into()
}
