//! The kinds of keys in the paths of the API.

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Either kind.
    Any,
    /// Keys that the server generated.
    Issued,
    /// Keys that another system generated.
    Imported,
}

impl KeyKind {
    /// The path of the collection.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Any => "/v2alpha1/admin/apiKeys",
            Self::Issued => "/v2alpha1/admin/issuedApiKeys",
            Self::Imported => "/v2alpha1/admin/importedApiKeys",
        }
    }
}
