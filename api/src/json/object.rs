//! What requests may hold: one table per object. A field can be read only when the table of its
//! object declares it, and only as the declared kind. The `OpenAPI` document prints these tables.

use schemars::{Schema, SchemaGenerator};

use super::spelling::is_camel_case_of;
use crate::form::Form;

/// One object of a request.
#[derive(Debug)]
pub(crate) struct Object {
    /// The name of its schema in the `OpenAPI` document.
    pub(crate) name: &'static str,
    /// The description of its schema.
    pub(crate) about: &'static str,
    /// Its fields. The reader skips other names, unless there is a [`Rule::Strict`].
    pub(crate) fields: &'static [Field],
    /// What holds between the fields.
    pub(crate) rules: &'static [Rule],
}

/// What holds between the fields of an object. The reader of the object checks it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// Only the fields of one of these groups have values.
    OneGroup(&'static [&'static [Field]]),
    /// The first field has a text only if the second has this value.
    OnlyWith(Field, Field, EnumValue),
    /// The field does not have this value.
    Never(Field, EnumValue),
    /// The field has this value only if the server can issue public keys.
    NeedsPublicPrefix(Field, EnumValue),
    /// At least one of these fields is there.
    AnyOf(&'static [Field]),
    /// Other fields are rejected, and so is `null` for any but these fields. Elsewhere it means an
    /// absent field.
    Strict(&'static [Field]),
}

/// The name and the number of a value of an enum.
pub(crate) type EnumValue = (&'static str, u8);

/// One field of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether a request without the field is rejected.
    pub(crate) is_required: bool,
    /// The form of a text, or of each text of a list.
    pub(crate) form: Form,
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
    /// A list of objects with a table. Each is accepted or rejected for itself.
    Objects {
        of: &'static Object,
        entries_max: usize,
        /// Whether the request is rejected if all entries are.
        needs_one: bool,
    },
    /// An object whose fields the client chooses.
    FreeObject,
    /// An object whose fields the client chooses, and whose values are strings; not empty.
    TextMap,
    /// A value of an enum by its full name or by its number, with the schema of the names. The
    /// numbers count the names from 0.
    Enumeration(fn(&mut SchemaGenerator) -> Schema),
}

/// The table of an object whose fields the client chooses.
pub(super) static FREE: Object = Object {
    name: "",
    about: "",
    fields: &[],
    rules: &[],
};

impl Object {
    /// The kind of a field; `None` when the object has no such field.
    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        self.field(name).map(|field| field.kind)
    }

    /// The field that has this name in one of its two spellings.
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.is_named(name))
    }
}

impl Field {
    /// Whether the field has this name, in one of its two spellings.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name || is_camel_case_of(name, self.name)
    }

    /// An optional field.
    pub(crate) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            name,
            kind,
            is_required: false,
            form: Form::Any,
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

    /// Gives the form of the text, or of each text of the list.
    pub(crate) const fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// Makes the field required.
    pub(crate) const fn required(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }
}
