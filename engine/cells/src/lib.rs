//! Lock-free cells and tables.
