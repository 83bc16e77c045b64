//! Bounds and conversions of numbers that several sections use.

/// The smallest cache.
pub(super) const MEMORY_MIN: u64 = 64 << 10;
/// The largest cache.
pub(super) const MEMORY_MAX: u64 = 16 << 40;

/// The bounds in the tables keep every number in range, so nothing is ever cut off.
pub(super) fn to_u16(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// The bounds in the tables keep every number in range, so nothing is ever cut off.
pub(super) fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
