//! The feed of changes, `GET /v2alpha1/admin/changes`: server-sent events (WHATWG HTML, section
//! 9.2).
//!
//! The `id` of an event is the position of its change in the log. A client that sends it back as
//! `Last-Event-ID` gets every later change once. No event holds a secret: the log has none.

mod event;
mod facts;
#[cfg(test)]
mod fixture;
mod request;

pub use event::{CONTENT_TYPE, EVENTS, heartbeat, opening, render, render_data};
pub use facts::KeyFacts;
pub use request::{FeedRequest, LAST_EVENT_ID, Start, Wanted, gone, not_reached, parse_request};

pub(crate) use event::Data;
pub(crate) use request::{HEADERS, PARAMETERS};
