//! Lock-free cells, the tables that find them, and the memory budget they live within.
//!
//! A [`Cell`] holds the newest known value of one key; a [`Table`] finds cells (or anything else) by hash without a
//! lock; a [`Budget`] counts the bytes of both. Together they keep one promise, on which revocation rests:
//!
//! > Once [`Cell::offer`] has returned for a value of sequence *n*, no reader of the table finds an older value of that key,
//! > whatever slower reader still holds one.
//!
//! It takes three rules, each kept by its own file:
//! 1. A cell takes a value only if it supersedes the one it holds (`cell.rs`).
//! 2. A cell is linked into the table *vacant*, before the value for it is read from storage; a writer makes its value durable
//!    before it looks for cells. So either the writer finds the cell, or the reader finds the writer's value ([`Table::insert`]
//!    and [`Table::for_each`] end and begin with a full fence).
//! 3. A cell is detached before it is unlinked, and a detached cell never holds a value again, so that nobody who still
//!    points to it is answered from it.
//!
//! All `unsafe` code of the engine is in this crate. It knows nothing of keys, records or storage.

mod budget;
mod cell;
mod prefetch;
mod swap;
mod sync;
mod table;

pub use budget::Budget;
pub use cell::{Cell, CellValue, Offer, State};
pub use prefetch::{PrefetchHints, PrefetchSizes};
pub use swap::Swap;
pub use sync::{Guard, pin};
pub use table::{Entry, Found, Table};
