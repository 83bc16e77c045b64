//! Several servers: a primary, replicas that follow it, and what happens when one of them fails.

mod acceptance;
mod acknowledging;
mod admin_tokens;
mod clocks;
mod failing_over;
mod faults;
mod following;
mod forwarding;
mod load;
mod network;
pub mod node;
mod page;
mod relay;
mod strangers;
mod streams;
mod vouching;
