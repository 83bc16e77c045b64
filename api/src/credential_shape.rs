//! What a credential looks like, before anything about it is proven.

use talos_engine::credential::issued::IssuedKey;

/// The prefix of macaroons, with their version.
const MACAROON: &str = "mc_v1_";
/// How the base64url of every JSON object that begins with a name begins.
const JWT: &str = "eyJ";

/// The kinds of credentials that can be told apart by their looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A JWT (`eyJ….….…`, RFC 7519 §3) or a macaroon.
    DerivedToken,
    /// A key that a server of this kind issued, this one or another.
    IssuedKey,
    /// Anything else: only a key of another system can look so.
    Other,
}

/// The first kind that `credential` looks like.
pub(crate) fn of(credential: &str) -> Shape {
    let is_jwt = credential.starts_with(JWT) && credential.matches('.').count() == 2;
    if is_jwt || credential.starts_with(MACAROON) {
        Shape::DerivedToken
    } else if IssuedKey::parse(credential.as_bytes()).is_some() {
        Shape::IssuedKey
    } else {
        Shape::Other
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use talos_engine::clock::UnixMillis;
    use talos_engine::credential::issued::{ChecksumKey, make};
    use talos_engine::{Secret, TenantId};

    /// A key that some server issued.
    pub(crate) fn issued() -> String {
        let key = ChecksumKey::new(&Secret::new("of another server".to_owned()));
        let uuid = TenantId::SINGLE.0;
        make("ory_ak", UnixMillis(1_700_000_000_000), uuid, &key)
            .expose()
            .to_owned()
    }

    #[test]
    fn shapes() {
        let table = [
            ("eyJhbGciOiJub25lIn0.e30.", Shape::DerivedToken),
            ("eyJ.b.c", Shape::DerivedToken),
            ("mc_v1_AgEB", Shape::DerivedToken),
            ("mc_v1_", Shape::DerivedToken),
            ("eyJ", Shape::Other),
            ("eyJ.b", Shape::Other),
            ("eyJ.b.c.d", Shape::Other),
            ("a.b.c", Shape::Other),
            ("mc_v2_AgEB", Shape::Other),
            ("ory_ak_v1_a_b", Shape::Other),
            ("sk_live_1", Shape::Other),
            ("", Shape::Other),
        ];
        for (credential, shape) in table {
            assert_eq!(of(credential), shape, "{credential}");
        }
        assert_eq!(of(&issued()), Shape::IssuedKey);
        assert_eq!(
            of(&issued().replacen("ory_ak", "mc", 1)),
            Shape::DerivedToken
        );
    }
}
