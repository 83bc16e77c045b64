//! Reading and counting the keys that a bulk revocation ends.

mod count;
mod walk;

pub use count::KeyCounter;
pub use walk::Walk;
