//! Tests of the drivers over loopback, with the storage of the simulation.

mod acceptance;
mod copies;
mod faulty_proxy;
mod following;
mod node;
mod refusals;
mod tls;
mod writes;
