//! What requests may hold: one table per object. A field can be read only when the table of its
//! object declares it, and only as the declared kind. The `OpenAPI` document prints these tables.

use schemars::{Schema, SchemaGenerator};

use super::spelling::is_camel_case_of;

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
    /// Whether its absence allows more. A similar name is then rejected instead of skipped.
    pub(crate) is_restricting: bool,
    /// Other names that mean this field, each with the path to write instead.
    pub(crate) resembles: &'static [(&'static str, &'static str)],
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
        self.field(name).map(|field| field.kind)
    }

    /// The field that has this name in one of its two spellings.
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        let is_named = |field: &&Field| field.name == name || is_camel_case_of(name, field.name);
        self.fields.iter().find(is_named)
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
            is_restricting: false,
            resembles: &[],
        }
    }

    /// Makes the field one whose absence allows more. `resembles` are other names that mean it,
    /// each with the path to write instead.
    pub(crate) const fn restricting(
        self,
        resembles: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            is_restricting: true,
            resembles,
            ..self
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
