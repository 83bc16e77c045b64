//! What may be written into a log about a credential that was refused.

use crate::issued::IssuedKey;
use crate::macaroon_prefixes::MacaroonPrefixes;
use crate::shape::{self, Shape, TokenShape};

/// The longest prefix that is shown. Prefixes of issued keys are not longer.
const PREFIX_CHARS_MAX: usize = 16;

/// The part of a credential that tells what kind it is, and of an issued key also its public
/// beginning. Of anything else nothing is shown: it may be a secret of another system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPart {
    /// `issued`, `jwt`, `macaroon` or `other`.
    pub kind: &'static str,
    /// The prefix of an issued key and the first characters of its identifier, which tell when it
    /// was issued; `None` for other kinds.
    pub start: Option<String>,
}

/// The public part of `credential`, with at most `identifier_chars` characters of an identifier.
#[must_use]
pub fn public_part(
    credential: &[u8],
    prefixes: &MacaroonPrefixes,
    identifier_chars: usize,
) -> PublicPart {
    let shape = shape::of(credential, prefixes);
    PublicPart {
        kind: kind(&shape),
        start: match shape {
            Shape::Issued(key) => start(&key, credential, identifier_chars),
            Shape::Token(_) | Shape::Other => None,
        },
    }
}

/// What kind of credential this is; see [`PublicPart::kind`].
#[must_use]
pub fn credential_kind(credential: &[u8], prefixes: &MacaroonPrefixes) -> &'static str {
    kind(&shape::of(credential, prefixes))
}

fn kind(shape: &Shape<'_>) -> &'static str {
    match shape {
        Shape::Token(TokenShape::Jwt) => "jwt",
        Shape::Token(TokenShape::Macaroon { .. }) => "macaroon",
        Shape::Issued(_) => "issued",
        Shape::Other => "other",
    }
}

/// `{prefix}_v1_` and the first characters of the identifier.
fn start(key: &IssuedKey<'_>, credential: &[u8], identifier_chars: usize) -> Option<String> {
    let is_prefix = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if key.prefix.len() > PREFIX_CHARS_MAX || !key.prefix.iter().all(is_prefix) {
        return None;
    }
    // The identifier is base58, so it is ASCII, and longer than what is shown of it.
    let shown = credential.get(..key.prefix.len() + "_v1_".len() + identifier_chars)?;
    std::str::from_utf8(shown).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use talos_model::Secret;
    use talos_model::clock::UnixMillis;
    use uuid::Uuid;

    use super::*;
    use crate::issued::{ChecksumKey, make};

    #[test]
    fn only_the_beginning_of_an_issued_key_is_shown() {
        let prefixes = MacaroonPrefixes::default();
        let key = ChecksumKey::new(&Secret::new("any".to_owned()));
        let credential = |prefix: &str| {
            make(
                prefix,
                UnixMillis(1_700_000_000_000),
                Uuid::from_u128(7),
                &key,
            )
        };
        let issued = credential("ory_ak");
        let part = public_part(issued.expose().as_bytes(), &prefixes, 8);
        let start = part.start.expect("a start");
        assert_eq!((part.kind, start.len()), ("issued", "ory_ak_v1_".len() + 8));
        assert!(issued.expose().starts_with(&start));
        for (credential, kind) in [
            ("sk_live_51Habcdefghijklmnop", "other"),
            ("eyJhbGciOiJub25lIn0.e30.", "jwt"),
            ("mc_v1_AgEB", "macaroon"),
            (credential("a-prefix-of-another-system").expose(), "issued"),
            (credential("pass word").expose(), "issued"),
        ] {
            let part = public_part(credential.as_bytes(), &prefixes, 8);
            assert_eq!((part.kind, part.start), (kind, None), "{credential}");
        }
    }
}
