//! The forms of texts in requests. Readers check them; the `OpenAPI` document describes them.

/// The form of a text, or of each text of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Any text.
    Any,
    /// Any text but the empty one.
    Filled,
    /// Only the empty text.
    Empty,
    /// No character is a control character.
    NoControls,
    /// One of these texts, or the empty one.
    OneOf(&'static [&'static str]),
    /// The lifetime of a key or token; the empty text is an unset one.
    Lifetime,
    /// A duration in whole seconds, at least one.
    WholeSeconds,
    /// A block of addresses.
    Block,
    /// The id of a tenant, or the empty text.
    Tenant,
    /// An instant (RFC 3339).
    Instant,
    /// A position in the log of changes, or the empty text.
    Position,
    /// The name of an event.
    Event,
    /// The condition of a list.
    Filter,
    /// The list of the fields that change.
    Mask,
}
