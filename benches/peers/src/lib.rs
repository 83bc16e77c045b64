//! The measuring side of the comparison: the request generator, and the tables made from its
//! counts. The other binaries of this crate are compared servers that no package provides.

pub mod answer;
pub mod closed_loop;
pub mod document;
pub mod process_tree;
pub mod rounds;
pub mod table;
