//! What requests may hold: one table per object. A field can be read only when the table of its
//! object declares it, and only as the declared kind. The `OpenAPI` document prints these tables.

use schemars::{Schema, SchemaGenerator};

/// One object of a request.
#[derive(Debug)]
pub(crate) struct Object {
    /// The name of its schema in the `OpenAPI` document.
    pub(crate) name: &'static str,
    /// The description of its schema.
    pub(crate) about: &'static str,
    /// Its fields. The reader skips other names.
    pub(crate) fields: &'static [Field],
}

/// One field of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether a request without the field is rejected.
    pub(crate) is_required: bool,
    /// The description of the field.
    pub(crate) about: &'static str,
}

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A string of at most this many characters.
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
    /// An object whose fields the client chooses.
    FreeObject,
    /// A value of an enum by its full name, with the schema of the enum.
    Enumeration(fn(&mut SchemaGenerator) -> Schema),
}

/// The table of an object whose fields the client chooses.
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
    /// An optional field.
    pub(crate) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            name,
            kind,
            is_required: false,
            about,
        }
    }

    /// Makes the field required.
    pub(crate) const fn required(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }
}
