//! Reuse of a connection's buffers.

use crate::limits;

/// Clears `buffer`, and replaces its memory if it has grown large.
pub(super) fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    if buffer.capacity() > limits::BUFFER_KEPT_BYTES {
        return Vec::with_capacity(limits::BUFFER_BYTES);
    }
    buffer.clear();
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_are_given_back() {
        assert!(emptied(vec![0; 100]).capacity() >= 100);
        let large = emptied(vec![0; limits::BUFFER_KEPT_BYTES + 1]);
        assert_eq!((large.len(), large.capacity()), (0, limits::BUFFER_BYTES));
    }
}
