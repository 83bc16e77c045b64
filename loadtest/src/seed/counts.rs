//! How many keys of each class a run needs.

use crate::class::Shares;
use crate::corpus::Sizes;

/// Divides `keys` by the shares. Every class with a share gets at least one key. If no share asks
/// for keys, all of them are imported. `tokens` of each kind are derived if the shares have any of
/// that kind.
#[must_use]
pub fn divide(keys: u32, tokens: u32, shares: &Shares) -> Sizes {
    let part = |of: u32, share: u32, total: u32| {
        let part = u64::from(of) * u64::from(share) / u64::from(total.max(1));
        u32::try_from(part).unwrap_or(of).max(u32::from(share > 0))
    };
    let wants_valid = shares.valid + shares.imported + shares.batch > 0;
    let revoked = if shares.revoked > 0 && !wants_valid && shares.total() == shares.revoked {
        keys
    } else {
        part(keys, shares.revoked, shares.total()).min(keys - 1)
    };
    let rest = keys - revoked;
    let valid = part(rest, shares.valid, shares.valid + shares.imported).min(rest);
    let valid = if shares.imported > 0 {
        valid.min(rest.saturating_sub(1))
    } else {
        valid
    };
    Sizes {
        valid,
        imported: rest - valid,
        revoked,
        jwt: if shares.jwt > 0 { tokens } else { 0 },
        macaroon: if shares.macaroon > 0 { tokens } else { 0 },
        ..Sizes::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_with_a_share_has_keys() {
        let sizes = |mix: &str, keys| {
            let sizes = divide(keys, 7, &mix.parse().unwrap());
            assert_eq!(sizes.valid + sizes.imported + sizes.revoked, keys, "{mix}");
            (sizes.valid, sizes.imported, sizes.revoked)
        };
        assert_eq!(
            sizes("valid=80,revoked=10,unknown=10", 10_000),
            (9000, 0, 1000)
        );
        assert_eq!(sizes("valid=998,revoked=1,unknown=1", 10), (9, 0, 1));
        assert_eq!(sizes("revoked=1", 10), (0, 0, 10));
        assert_eq!(sizes("valid=1,revoked=1000000", 10), (1, 0, 9));
        assert_eq!(sizes("valid=1,imported=3", 100), (25, 75, 0));
        assert_eq!(sizes("valid=1000000,imported=1", 10), (9, 1, 0));
        assert_eq!(sizes("imported=1,revoked=1", 100), (0, 50, 50));
        assert_eq!(sizes("unknown=1", 100), (0, 100, 0));
        assert_eq!(sizes("batch=1", 100), (0, 100, 0));
        let tokens = divide(10, 7, &"jwt=1,valid=1".parse().unwrap());
        assert_eq!((tokens.jwt, tokens.macaroon), (7, 0));
    }
}
