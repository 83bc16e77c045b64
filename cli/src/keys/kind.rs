//! The two kinds of keys, as the API names them.

/// Which keys an id may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Any.
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
