//! The drivers over loopback, with the storage of the simulation.

mod bridge;
mod copies;
mod following;
mod node;
mod refusals;
mod tls;
mod writes;
