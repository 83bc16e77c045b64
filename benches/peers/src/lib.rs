//! What measures and compares: the generator of requests, and the table that is made of its counts. The servers that are
//! compared and that no package brings are the other binaries of this crate.

pub mod answer;
pub mod closed_loop;
pub mod document;
pub mod process_tree;
pub mod rounds;
pub mod table;
