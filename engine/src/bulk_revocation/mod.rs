//! Walking over and counting the keys that a bulk revocation ends.

mod count;
mod walk;

pub use count::Counts;
pub use walk::Walk;
