//! The environment of the process.

/// All environment variables as text. Invalid UTF-8 is replaced; no setting accepts such a value,
/// so it is reported as a bad one.
pub(crate) fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    })
}
