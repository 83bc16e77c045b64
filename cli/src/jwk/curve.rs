//! Keys on the curves of NIST (RFC 7518 §6.2).

use clap::ValueEnum;
use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytesSize, SecretKey};
use zeroize::Zeroizing;

/// A curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Curve {
    /// NIST P-256
    #[value(name = "P-256")]
    P256,
    /// NIST P-384
    #[value(name = "P-384")]
    P384,
    /// NIST P-521
    #[value(name = "P-521")]
    P521,
}

/// A private number and its public point. All numbers have the length of the curve's field.
pub(super) struct Pair {
    pub(super) secret: Zeroizing<Vec<u8>>,
    pub(super) x: Vec<u8>,
    pub(super) y: Vec<u8>,
}

impl Curve {
    /// The name in a key.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The algorithm that signs with a key on this curve (RFC 7518 §3.4).
    pub(super) fn algorithm(self) -> &'static str {
        match self {
            Self::P256 => "ES256",
            Self::P384 => "ES384",
            Self::P521 => "ES512",
        }
    }

    /// A new key.
    ///
    /// # Errors
    /// When the system provides no randomness.
    pub(super) fn generate(self) -> Result<Pair, getrandom::Error> {
        match self {
            Self::P256 => generate::<p256::NistP256>(32, 0xff),
            Self::P384 => generate::<p384::NistP384>(48, 0xff),
            // 521 bits are one bit more than 65 bytes.
            Self::P521 => generate::<p521::NistP521>(66, 0x01),
        }
    }
}

/// A key whose numbers have `length` bytes; `first` has the bits of the first byte that are part of
/// a number.
fn generate<C>(length: usize, first: u8) -> Result<Pair, getrandom::Error>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    loop {
        let mut secret = Zeroizing::new(vec![0; length]);
        getrandom::fill(&mut secret)?;
        if let Some(byte) = secret.first_mut() {
            *byte &= first;
        }
        // At most one number in 2^32 is not below the order of the curve; then draw another.
        let Ok(key) = SecretKey::<C>::from_slice(&secret) else {
            continue;
        };
        let point = key.public_key().to_sec1_point(false);
        if let (Some(x), Some(y)) = (point.x(), point.y()) {
            return Ok(Pair {
                x: x.to_vec(),
                y: y.to_vec(),
                secret,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    };

    use super::*;

    fn point(pair: &Pair) -> Vec<u8> {
        [&[4], pair.x.as_slice(), pair.y.as_slice()].concat()
    }

    #[test]
    fn another_library_takes_the_keys() {
        for (curve, algorithm) in [
            (Curve::P256, &ECDSA_P256_SHA256_ASN1_SIGNING),
            (Curve::P384, &ECDSA_P384_SHA384_ASN1_SIGNING),
        ] {
            let pair = curve.generate().expect("a key");
            let random = SystemRandom::new();
            // It computes the point of the number and compares it.
            EcdsaKeyPair::from_private_key_and_public_key(
                algorithm,
                &pair.secret,
                &point(&pair),
                &random,
            )
            .expect("a key pair");
        }
    }

    #[test]
    fn numbers_have_the_length_of_the_field_and_are_never_the_same() {
        for (curve, length) in [(Curve::P256, 32), (Curve::P384, 48), (Curve::P521, 66)] {
            let [one, other] = [(); 2].map(|()| curve.generate().expect("a key"));
            for number in [&*one.secret, &one.x, &one.y] {
                assert_eq!(number.len(), length, "{curve:?}");
            }
            assert_ne!(*one.secret, *other.secret);
        }
    }

    #[test]
    fn every_curve_has_the_algorithm_of_its_length() {
        let names = Curve::value_variants()
            .iter()
            .map(|it| (it.name(), it.algorithm()));
        let wanted = [("P-256", "ES256"), ("P-384", "ES384"), ("P-521", "ES512")];
        assert!(names.eq(wanted));
    }

    #[test]
    fn the_point_of_p_521_belongs_to_its_number() {
        // With the number 1 the point is the base point of the curve (FIPS 186-4 §D.1.2.5).
        let mut one = [0; 66];
        one[65] = 1;
        let key = p521::SecretKey::from_slice(&one).expect("a number");
        let base = key.public_key().to_sec1_point(false);
        assert!(base.x().expect("x").ends_with(&[0xc2, 0xe5, 0xbd, 0x66]));
        let pair = Curve::P521.generate().expect("a key");
        let key = p521::SecretKey::from_slice(&pair.secret).expect("a number");
        assert_eq!(
            key.public_key().to_sec1_point(false).as_bytes(),
            point(&pair)
        );
    }
}
