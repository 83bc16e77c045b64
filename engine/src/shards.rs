//! The division of keys into shards.

use talos_model::limits::SHARDS_MAX;
use talos_model::{RecordKey, ShardId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The division of the key space, fixed when a database is created.
///
/// The hash is xxh3-64 with a random seed per database. Clients choose raw keys and see key ids;
/// without the seed they could put all keys into one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards {
    count: u16,
    seed: u64,
}

impl Shards {
    /// A division into `count` shards, a power of two of at most [`SHARDS_MAX`]; `None` for any
    /// other count.
    #[must_use]
    pub fn new(count: u16, seed: u64) -> Option<Self> {
        (count.is_power_of_two() && count <= SHARDS_MAX).then_some(Self { count, seed })
    }

    /// How many shards there are.
    #[must_use]
    pub fn count(self) -> u16 {
        self.count
    }

    /// The seed of the hash.
    #[must_use]
    pub fn seed(self) -> u64 {
        self.seed
    }

    /// The hash of a key. It determines the key's shard and its slot in every table.
    #[must_use]
    pub fn hash(self, key: &RecordKey) -> u64 {
        xxh3_64_with_seed(key.as_bytes(), self.seed)
    }

    /// The shard of the key with this hash. Uses the bits from 32 up, because the tables of cells
    /// use the lower ones.
    #[must_use]
    pub fn shard_of(self, hash: u64) -> ShardId {
        let upper = u16::try_from((hash >> 32) & u64::from(u16::MAX)).unwrap_or(0);
        ShardId(upper & (self.count - 1))
    }

    /// All shards.
    pub fn all(self) -> impl Iterator<Item = ShardId> {
        (0..self.count).map(ShardId)
    }
}

#[cfg(test)]
mod tests {
    use talos_model::{KeyId, TenantId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_powers_of_two() {
        assert!(
            [0, 3, 6, 257, 512]
                .iter()
                .all(|&count| Shards::new(count, 1).is_none())
        );
        assert!(
            [1, 2, 64, 256]
                .iter()
                .all(|&count| Shards::new(count, 1).is_some())
        );
    }

    #[test]
    fn keys_spread_evenly_and_the_seed_moves_them() {
        let (one, other) = (Shards::new(8, 1).unwrap(), Shards::new(8, 2).unwrap());
        let (mut counts, mut moved) = ([0_u32; 8], 0);
        for n in 0..8000_u128 {
            let key = RecordKey::new(TenantId::SINGLE, KeyId::Issued(Uuid::from_u128(n)));
            let shard = one.shard_of(one.hash(&key));
            counts[usize::from(shard.0)] += 1;
            moved += u32::from(shard != other.shard_of(other.hash(&key)));
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
        assert!(moved > 6500, "{moved}");
    }
}
