//! The bytes of a position: epoch and sequence, both big-endian, so that the order on disk is the
//! order in time.

use talos_model::{Epoch, Position, Sequence};

use crate::storage::error::StorageError;

/// The key of the change at `position` in the log.
pub fn encode_position(position: Position) -> [u8; 16] {
    let both = (u128::from(position.epoch.0) << 64) | u128::from(position.sequence.0);
    both.to_be_bytes()
}

/// Decodes the key of a change.
pub fn decode_position(bytes: &[u8]) -> Result<Position, StorageError> {
    let bytes: [u8; 16] = bytes
        .try_into()
        .map_err(|_| StorageError::Corrupt("a change's position"))?;
    let both = u128::from_be_bytes(bytes);
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    Ok(Position {
        epoch: Epoch(half(both >> 64)),
        sequence: Sequence(half(both)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_sort_by_epoch_then_sequence() {
        let at = |epoch, sequence| Position {
            epoch: Epoch(epoch),
            sequence: Sequence(sequence),
        };
        let ordered = [at(1, 1), at(1, 255), at(1, 256), at(2, 3), at(256, 0)];
        assert!(
            ordered
                .windows(2)
                .all(|pair| encode_position(pair[0]) < encode_position(pair[1]))
        );
        assert!(
            ordered
                .iter()
                .all(|&position| decode_position(&encode_position(position)).unwrap() == position)
        );
        assert!(decode_position(&[0; 15]).is_err());
    }
}
