//! Small changes to a text.

use arbitrary::Arbitrary;

/// One change. Positions count modulo the length, so that every edit fits every text.
#[derive(Arbitrary, Clone, Debug)]
pub enum Edit {
    /// Replaces a byte.
    Replace { at: u16, with: u8 },
    /// Flips a bit of a byte.
    Flip { at: u16, bit: u8 },
    /// Inserts a byte.
    Insert { at: u16, with: u8 },
    /// Removes a byte.
    Remove { at: u16 },
    /// Cuts off the rest.
    Truncate { at: u16 },
    /// Swaps two bytes.
    Swap { a: u16, b: u16 },
}

/// Applies `edits` to `text`.
#[must_use]
pub fn edited(text: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut text = text.to_vec();
    for edit in edits {
        let place = |at: u16| usize::from(at) % text.len().max(1);
        match *edit {
            Edit::Insert { at, with } => {
                let at = usize::from(at) % (text.len() + 1);
                text.insert(at, with);
            }
            _ if text.is_empty() => {}
            Edit::Replace { at, with } => {
                let at = place(at);
                text[at] = with;
            }
            Edit::Flip { at, bit } => {
                let at = place(at);
                text[at] ^= 1 << (bit % 8);
            }
            Edit::Remove { at } => {
                let at = place(at);
                text.remove(at);
            }
            Edit::Truncate { at } => {
                let at = place(at);
                text.truncate(at);
            }
            Edit::Swap { a, b } => {
                let (a, b) = (place(a), place(b));
                text.swap(a, b);
            }
        }
    }
    text
}
