//! The kind of a credential by its format, before anything about it is verified.

use super::issued::IssuedKey;
use crate::macaroon_prefixes::MacaroonPrefixes;

/// The base64url of `{"` before a letter, with which the header of a JWT begins.
const JWT: &[u8] = b"eyJ";

/// The kinds of credentials that differ in format, in the order in which they are tried.
#[derive(Debug)]
pub enum Shape<'a> {
    /// A derived token.
    Token(TokenShape<'a>),
    /// A key in the format of issued keys. This server or another one of its kind issued it.
    Issued(IssuedKey<'a>),
    /// Anything else, which can only be an imported key.
    Other,
}

/// The two kinds of derived tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenShape<'a> {
    /// Three parts, the first of which is a JSON object (RFC 7515 §7.1).
    Jwt,
    /// A configured prefix and the version mark.
    Macaroon {
        /// The prefix.
        prefix: &'a str,
    },
}

/// The first kind whose format `credential` has.
#[must_use]
pub fn of<'a>(credential: &'a [u8], prefixes: &'a MacaroonPrefixes) -> Shape<'a> {
    let parts = || credential.split(|&byte| byte == b'.').count();
    if credential.starts_with(JWT) && parts() == 3 {
        return Shape::Token(TokenShape::Jwt);
    }
    if let Some(prefix) = prefixes.of(credential) {
        return Shape::Token(TokenShape::Macaroon { prefix });
    }
    IssuedKey::parse(credential).map_or(Shape::Other, Shape::Issued)
}

#[cfg(test)]
mod tests {
    use talos_model::Secret;
    use talos_model::clock::UnixMillis;
    use uuid::Uuid;

    use super::super::issued::{ChecksumKey, make};
    use super::*;

    fn name(credential: &str, prefixes: &MacaroonPrefixes) -> &'static str {
        match of(credential.as_bytes(), prefixes) {
            Shape::Token(TokenShape::Jwt) => "jwt",
            Shape::Token(TokenShape::Macaroon { .. }) => "macaroon",
            Shape::Issued(_) => "issued",
            Shape::Other => "other",
        }
    }

    #[test]
    fn shapes() {
        let table = [
            ("eyJhbGciOiJub25lIn0.e30.", "jwt"),
            ("eyJ.b.c", "jwt"),
            ("mc_v1_AgEB", "macaroon"),
            ("mc_v1_", "macaroon"),
            ("eyJ", "other"),
            ("eyJ.b", "other"),
            ("eyJ.b.c.d", "other"),
            ("a.b.c", "other"),
            ("mc_v2_AgEB", "other"),
            ("old_v1_AgEB", "other"),
            ("ory_ak_v1_a_b", "other"),
            ("sk_live_1", "other"),
            ("", "other"),
        ];
        let prefixes = MacaroonPrefixes::default();
        for (credential, shape) in table {
            assert_eq!(name(credential, &prefixes), shape, "{credential}");
        }
        let secret = ChecksumKey::new(&Secret::new("of another server".to_owned()));
        let issued = make(
            "ory_ak",
            UnixMillis(1_700_000_000_000),
            Uuid::nil(),
            &secret,
        );
        assert_eq!(name(issued.expose(), &prefixes), "issued");
        let shadowed = issued.expose().replacen("ory_ak", "mc", 1);
        assert_eq!(name(&shadowed, &prefixes), "macaroon");
        let others = MacaroonPrefixes {
            current: "new".to_owned(),
            retired: vec!["old".to_owned()],
        };
        for (credential, shape) in [
            ("new_v1_AgEB", "macaroon"),
            ("old_v1_AgEB", "macaroon"),
            ("mc_v1_AgEB", "other"),
            (shadowed.as_str(), "issued"),
        ] {
            assert_eq!(name(credential, &others), shape, "{credential}");
        }
    }
}
