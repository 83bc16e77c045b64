//! Lock-free cells, the tables that find them, and their memory budget.
//!
//! A [`Cell`] holds the newest known value of one key. A [`Table`] finds cells (or other entries)
//! by hash without a lock. A [`Budget`] counts the bytes of both. Together they keep one promise,
//! on which revocation rests:
//!
//! > Once [`Cell::offer`] has returned for a value of sequence *n*, no reader of the table finds an
//! > older value of that key, even if a slower reader still holds one.
//!
//! The promise needs three rules:
//! 1. A cell takes a value only if the value supersedes the one it holds (`cell.rs`).
//! 2. A reader links a *vacant* cell into the table before it reads the value from storage. A
//!    writer makes its value durable before it looks for cells. So either the writer finds the
//!    cell, or the reader finds the writer's value. [`Table::insert`] ends with a full fence and
//!    [`Table::for_each`] begins with one.
//! 3. A cell is detached before it is unlinked, and a detached cell never holds a value again. So a
//!    reader that still points to the cell gets no answer from it.
//!
//! All `unsafe` code of the engine is in this crate. The crate knows nothing of keys, records or
//! storage.

mod budget;
mod cell;
mod prefetch;
mod swap;
mod sync;
mod table;

pub use budget::Budget;
pub use cell::{Cell, CellValue, Offer, State};
pub use prefetch::{PrefetchHints, PrefetchSizes};
pub use swap::{Reading, Swap};
pub use sync::{Guard, pin};
pub use table::{Entry, Found, Table};
