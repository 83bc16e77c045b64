//! Random values for the drivers.

use std::io;

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::handshake::Nonce;

/// A nonce for one handshake. Fails if the system has no randomness.
pub(super) fn nonce() -> io::Result<Nonce> {
    draw().map(Nonce)
}

/// A number for [`crate::backoff::Backoff::next_ms`]. Without randomness it is 0, and all replicas
/// pause equally long.
pub(super) fn jitter() -> u64 {
    draw().map_or(0, u64::from_le_bytes)
}

fn draw<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("the system gives no randomness"))?;
    Ok(bytes)
}
