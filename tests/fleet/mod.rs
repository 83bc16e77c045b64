//! Several servers: one primary, replicas that follow it, and what becomes of them when one of them goes.

mod acknowledging;
mod failing_over;
mod faults;
mod following;
mod load;
mod network;
mod node;
mod page;
mod relay;
mod strangers;
mod streams;
