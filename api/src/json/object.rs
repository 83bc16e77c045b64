//! What requests may hold: one table per object. The reader gives out a field only when the table of its object declares
//! it, and only as the kind that it declares; the document of the API prints the same tables.

use schemars::{Schema, SchemaGenerator};

/// One object of a request.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its name among the schemas of the document of the API.
    pub(crate) name: &'static str,
    /// What it is, for people.
    pub(crate) about: &'static str,
    /// What it may hold. Other names are skipped.
    pub(crate) fields: &'static [Field],
}

/// One field of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether a request without it is refused.
    pub(crate) is_required: bool,
    /// What it means, for people.
    pub(crate) about: &'static str,
}

/// What a field may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A string of at most so many characters.
    Text(Option<usize>),
    /// A list of strings.
    Texts {
        entries_max: usize,
        chars_max: Option<usize>,
    },
    /// A 64-bit integer, as a string or a number.
    Int64,
    /// `true` or `false`.
    Boolean,
    /// An object with a table.
    Object(&'static Object),
    /// A list of objects with a table.
    Objects {
        of: &'static Object,
        entries_max: usize,
    },
    /// An object whose fields are the caller's own.
    FreeObject,
    /// The full name of an enum's value, with the schema of the enum.
    Enumeration(fn(&mut SchemaGenerator) -> Schema),
}

/// The object whose fields are the caller's own.
pub(super) static FREE: Object = Object {
    name: "",
    about: "",
    fields: &[],
};

impl Object {
    /// The kind of a field; `None` when the object has no such field.
    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        let field = self.fields.iter().find(|field| field.name == name);
        field.map(|field| field.kind)
    }
}

impl Field {
    /// A field that may be left out.
    pub(crate) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            name,
            kind,
            is_required: false,
            about,
        }
    }

    /// The same field, in a request that is refused without it.
    pub(crate) const fn required(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }
}
