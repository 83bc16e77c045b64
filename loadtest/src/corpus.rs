//! The credentials of a run.

use crate::class::PerClass;
use crate::derived::{self, Family};
use crate::packed::Packed;

/// How many credentials there are of each class. Unknown credentials have no limit.
pub type Sizes = PerClass<u32>;

/// The kind of the revoked keys.
#[derive(Debug)]
pub enum Revoked {
    /// Issued.
    Issued(Packed),
    /// Imported.
    Imported,
}

/// All credentials, by class and number.
#[derive(Debug)]
pub struct Corpus {
    /// The seed of imported and unknown credentials.
    pub seed: u64,
    /// How many credentials there are of each class.
    pub sizes: Sizes,
    /// Issued keys that are valid.
    pub issued: Packed,
    /// Revoked keys.
    pub revoked: Revoked,
    /// JWTs.
    pub jwt: Vec<Box<str>>,
    /// Macaroons.
    pub macaroon: Vec<Box<str>>,
}

impl Corpus {
    /// A corpus without issued keys and tokens. Imported and unknown credentials are computed.
    #[must_use]
    pub fn derived(seed: u64, sizes: Sizes) -> Self {
        Self {
            seed,
            sizes,
            issued: Packed::default(),
            revoked: Revoked::Imported,
            jwt: Vec::new(),
            macaroon: Vec::new(),
        }
    }

    /// Appends an issued key.
    pub fn append_issued(&self, number: u32, out: &mut Vec<u8>) {
        self.issued.append(number, out);
    }

    /// Appends an imported key.
    pub fn append_imported(&self, number: u32, out: &mut Vec<u8>) {
        derived::append(self.seed, Family::Imported, u64::from(number), out);
    }

    /// Appends a revoked key.
    pub fn append_revoked(&self, number: u32, out: &mut Vec<u8>) {
        match &self.revoked {
            Revoked::Issued(packed) => packed.append(number, out),
            Revoked::Imported => {
                derived::append(self.seed, Family::ImportedRevoked, u64::from(number), out);
            }
        }
    }

    /// Appends a credential that no key has. If there are issued keys, every second one is an
    /// issued key with a wrong checksum.
    pub fn append_unknown(&self, number: u64, out: &mut Vec<u8>) {
        if self.sizes.valid > 0 && number.is_multiple_of(2) {
            let of = u32::try_from(number / 2 % u64::from(self.sizes.valid)).unwrap_or(0);
            self.issued.append(of, out);
            if let Some(last) = out.last_mut() {
                *last = if *last == b'2' { b'3' } else { b'2' };
            }
        } else {
            derived::append(self.seed, Family::Unknown, number, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(append: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        append(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn unknown_credentials_have_both_shapes_and_are_nobodys() {
        let mut issued = Packed::for_texts_like("ory_ak_v1_a_2", 2);
        issued.set(0, "ory_ak_v1_a_2").unwrap();
        issued.set(1, "ory_ak_v1_b_4").unwrap();
        let corpus = Corpus {
            issued,
            ..Corpus::derived(
                7,
                Sizes {
                    valid: 2,
                    ..Sizes::default()
                },
            )
        };
        let unknown = |number| text(|out| corpus.append_unknown(number, out));
        assert_eq!(unknown(0), "ory_ak_v1_a_3");
        assert_eq!(unknown(2), "ory_ak_v1_b_2");
        assert!(unknown(1).starts_with("sk_load_"));
        assert_ne!(unknown(1), text(|out| corpus.append_imported(1, out)));
        assert_ne!(unknown(1), unknown(3));
    }

    #[test]
    fn revoked_keys_are_not_those_that_are_valid() {
        let corpus = Corpus::derived(7, Sizes::default());
        assert_ne!(
            text(|out| corpus.append_revoked(0, out)),
            text(|out| corpus.append_imported(0, out))
        );
    }
}
