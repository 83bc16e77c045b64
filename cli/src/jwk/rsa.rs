//! Generates the numbers of an RSA key (RFC 8017 §3.2). The primes follow FIPS 186-5 §A.1.3: they
//! are random, have both upper bits set, and are not close to each other.

use crypto_bigint::{BoxedUint, ConcatenatingMul as _, Gcd as _, NonZero, Odd, Resize as _};
use crypto_primes::hazmat::{SetBits, SmallFactorsSieveFactory};
use crypto_primes::{Flavor, is_prime, sieve_and_find};
use getrandom::SysRng;
use getrandom::rand_core::{CryptoRng, UnwrapErr};
use zeroize::Zeroizing;

/// The usual exponent. It is a prime, so only its multiples share a factor with it.
const EXPONENT: u64 = 65_537;
/// The primes differ within their upper 100 bits.
const DISTANCE_BITS: u32 = 100;

/// The numbers of a key in the order of RFC 8017 §A.1.2, without leading zeros.
pub(super) struct Numbers {
    pub(super) n: Vec<u8>,
    pub(super) e: Vec<u8>,
    pub(super) d: Zeroizing<Vec<u8>>,
    pub(super) p: Zeroizing<Vec<u8>>,
    pub(super) q: Zeroizing<Vec<u8>>,
    pub(super) dp: Zeroizing<Vec<u8>>,
    pub(super) dq: Zeroizing<Vec<u8>>,
    pub(super) qi: Zeroizing<Vec<u8>>,
}

/// A new key whose modulus has `bits` bits, a multiple of 128.
///
/// # Errors
/// When the system provides no randomness.
pub(super) fn generate(bits: u32) -> Result<Numbers, getrandom::Error> {
    // The search needs a source that cannot fail. The system's source does not fail after it has
    // answered once.
    getrandom::fill(&mut [0; 32])?;
    let rng = &mut UnwrapErr(SysRng);
    loop {
        let primes = prime(rng, bits / 2).zip(prime(rng, bits / 2));
        if let Some(numbers) = primes.and_then(|(p, q)| numbers(p, q, bits)) {
            return Ok(numbers);
        }
    }
}

fn prime<R: CryptoRng>(rng: &mut R, bits: u32) -> Option<BoxedUint> {
    // Both upper bits are set, so that the product of two primes has twice as many bits.
    let sieve = SmallFactorsSieveFactory::new(Flavor::Any, bits, SetBits::TwoMsb).ok()?;
    sieve_and_find(rng, sieve, |_, candidate| is_prime(Flavor::Any, candidate)).ok()?
}

/// Computes the key of two primes; `None` if they do not fit each other or the exponent.
#[expect(clippy::many_single_char_names, reason = "the names of RFC 8017")]
fn numbers(one: BoxedUint, other: BoxedUint, bits: u32) -> Option<Numbers> {
    // Signing libraries expect the larger prime first.
    let (p, q) = if one > other {
        (one, other)
    } else {
        (other, one)
    };
    let half = bits / 2;
    let distance = p.wrapping_sub(&q);
    if distance.bits() <= half - DISTANCE_BITS {
        return None;
    }
    let one = BoxedUint::one_with_precision(half);
    let (p_1, q_1) = (p.wrapping_sub(&one), q.wrapping_sub(&one));
    let common: NonZero<BoxedUint> = NonZero::new(p_1.gcd(&q_1)).into_option()?;
    // The least common multiple; it has no more bits than the modulus.
    let multiple = p_1.concatenating_mul(&q_1).resize(bits);
    let (multiple, _) = multiple.div_rem(&common.resize(bits));
    let multiple = NonZero::new(multiple).into_option()?;
    let e = BoxedUint::from(EXPONENT).resize(bits);
    // None if p - 1 or q - 1 is a multiple of e.
    let d = e.invert_mod(&multiple).into_option()?;
    // FIPS 186-5 §A.1.1: a small d allows Wiener's attack.
    if d.bits() <= half {
        return None;
    }
    let n = p.concatenating_mul(&q).resize(bits);
    if n.bits() != bits {
        return None;
    }
    let remainder = |modulus: BoxedUint| -> Option<BoxedUint> {
        Some(d.rem(&NonZero::new(modulus.resize(bits)).into_option()?))
    };
    let (dp, dq) = (remainder(p_1)?, remainder(q_1)?);
    let qi = q
        .invert_odd_mod(&Odd::new(p.clone()).into_option()?)
        .into_option()?;
    let secret = |number: &BoxedUint| Zeroizing::new(bytes(number));
    Some(Numbers {
        n: bytes(&n),
        e: bytes(&e),
        d: secret(&d),
        p: secret(&p),
        q: secret(&q),
        dp: secret(&dp),
        dq: secret(&dq),
        qi: secret(&qi),
    })
}

fn bytes(number: &BoxedUint) -> Vec<u8> {
    number.to_be_bytes_trimmed_vartime().into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_that_are_close_or_share_a_factor_with_the_exponent_are_refused() {
        let rng = &mut UnwrapErr(SysRng);
        let p: BoxedUint = prime(rng, 512).expect("a prime");
        let q: BoxedUint = prime(rng, 512).expect("a prime");
        assert!(numbers(p.clone(), q, 1024).is_some());
        assert!(numbers(p.clone(), p.clone(), 1024).is_none());
        let near = p.wrapping_sub(BoxedUint::from(2_u64).resize(512));
        assert!(numbers(p, near, 1024).is_none());
    }

    #[test]
    fn numbers_have_no_leading_zeros() {
        let numbers = generate(2048).expect("a key");
        assert_eq!((numbers.n.len(), numbers.e), (256, vec![1, 0, 1]));
        assert_eq!((numbers.p.len(), numbers.q.len()), (128, 128));
        for number in [&numbers.d, &numbers.dp, &numbers.dq, &numbers.qi] {
            assert_ne!(number.first(), Some(&0));
        }
    }
}
