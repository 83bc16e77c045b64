//! The enums of the API: the name of each value in requests and answers, and the schema of these
//! names. A value is written as [`Named`] and read by `Fields::enumeration`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use talos_credentials::token::TokenType;
use talos_model::{Event, KeyKind, Proof, RevocationReason as Reason, Role, Status, Visibility};

/// An enum of the API. Its values are those of an enum of Rust.
pub(crate) trait Enumeration {
    type Value: Copy + 'static;

    /// The name of its schema.
    const SCHEMA: &'static str;
    /// The description of its schema.
    const ABOUT: &'static str;
    /// The name that proto3 gives to a value that is not set. Requests may use it, answers never
    /// do. `None` if the enum has no such name, or if one of its values has it.
    const UNSPECIFIED: Option<&'static str>;
    /// Every value with its name.
    const VALUES: &'static [(&'static str, Self::Value)];

    /// The name of `value`.
    fn name(value: Self::Value) -> &'static str;

    /// The value with this name; `None` for the name of a value that is not set.
    fn by_name(name: &str) -> Result<Option<Self::Value>, UnknownValue> {
        if Self::UNSPECIFIED == Some(name) {
            return Ok(None);
        }
        let mut values = Self::VALUES.iter();
        let found = values.find(|(known, _)| *known == name);
        found.map(|(_, value)| Some(*value)).ok_or(UnknownValue)
    }

    /// The value with this number, as [`Self::by_name`]. The values have the numbers from 0 in
    /// their order; if there is a name for a value that is not set, that has the number 0.
    fn by_number(number: i64) -> Result<Option<Self::Value>, UnknownValue> {
        if number == 0 && Self::UNSPECIFIED.is_some() {
            return Ok(None);
        }
        let first = i64::from(Self::UNSPECIFIED.is_some());
        let index = number.checked_sub(first).ok_or(UnknownValue)?;
        let index = usize::try_from(index).map_err(|_| UnknownValue)?;
        let found = Self::VALUES.get(index);
        found.map(|(_, value)| Some(*value)).ok_or(UnknownValue)
    }

    /// Every name that a request may use.
    fn names() -> Vec<&'static str> {
        let values = Self::VALUES.iter().map(|(name, _)| *name);
        Self::UNSPECIFIED.into_iter().chain(values).collect()
    }
}

/// An enum has no value with this name or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownValue;

/// A value of an enum, which is written as its name.
pub(crate) struct Named<E: Enumeration>(pub(crate) E::Value);

impl<E: Enumeration> Serialize for Named<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(E::name(self.0))
    }
}

impl<E: Enumeration> JsonSchema for Named<E> {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed(E::SCHEMA)
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": E::ABOUT, "enum": E::names() })
    }
}

/// Declares an enum of the API: `NAME(ENUM OF RUST) { VARIANT => NAME, … }`. The name after `or`
/// stands for a value that is not set.
macro_rules! enumeration {
    (
        #[doc = $about:literal]
        $schema:ident($value:ident) $(or $unspecified:literal)? {
            $($variant:ident => $name:expr,)+
        }
    ) => {
        #[doc = $about]
        pub(crate) enum $schema {}

        impl $crate::names::Enumeration for $schema {
            type Value = $value;

            const SCHEMA: &'static str = stringify!($schema);
            const ABOUT: &'static str = $about.trim_ascii_start();
            const UNSPECIFIED: Option<&'static str> = [$(Some($unspecified),)? None][0];
            const VALUES: &'static [(&'static str, $value)] =
                &[$(($name, $value::$variant)),+];

            fn name(value: $value) -> &'static str {
                match value {
                    $($value::$variant => $name,)+
                }
            }
        }
    };
}

pub(crate) use enumeration;

enumeration! {
    /// The state of a key.
    KeyStatus(Status) or "KEY_STATUS_UNSPECIFIED" {
        Active => "KEY_STATUS_ACTIVE",
        Revoked => "KEY_STATUS_REVOKED",
        Expired => "KEY_STATUS_EXPIRED",
    }
}

enumeration! {
    /// Whether a key may be shown to clients.
    KeyVisibility(Visibility) or "KEY_VISIBILITY_UNSPECIFIED" {
        Secret => "KEY_VISIBILITY_SECRET",
        Public => "KEY_VISIBILITY_PUBLIC",
    }
}

enumeration! {
    /// Which system issued a key: this server, or another one.
    KeyType(KeyKind) {
        Issued => "issued",
        Imported => "imported",
    }
}

enumeration! {
    /// Why a key ended (after RFC 5280 §5.3.1).
    RevocationReason(Reason) {
        Unspecified => "REVOCATION_REASON_UNSPECIFIED",
        KeyCompromise => "REVOCATION_REASON_KEY_COMPROMISE",
        AffiliationChanged => "REVOCATION_REASON_AFFILIATION_CHANGED",
        Superseded => "REVOCATION_REASON_SUPERSEDED",
        PrivilegeWithdrawn => "REVOCATION_REASON_PRIVILEGE_WITHDRAWN",
    }
}

enumeration! {
    /// What a derived token is.
    TokenAlgorithm(TokenType) or "TOKEN_ALGORITHM_UNSPECIFIED" {
        Jwt => "TOKEN_ALGORITHM_JWT",
        Macaroon => "TOKEN_ALGORITHM_MACAROON",
    }
}

enumeration! {
    /// What happened to a key or an admin token.
    EventName(Event) {
        IssuedKeyCreated => "IssuedAPIKeyCreated",
        ImportedKeyCreated => "ImportedAPIKeyCreated",
        IssuedKeyUpdated => "IssuedAPIKeyUpdated",
        ImportedKeyUpdated => "ImportedAPIKeyUpdated",
        IssuedKeyRevoked => "IssuedAPIKeyRevoked",
        ImportedKeyRevoked => "ImportedAPIKeyRevoked",
        IssuedKeyRotated => "IssuedAPIKeyRotated",
        ImportedKeyDeleted => "ImportedAPIKeyDeleted",
        BulkRevocationAdded => "RevocationRuleAdded",
        BulkRevocationCompleted => "RevocationRuleCompleted",
        AdminTokenCreated => "AdminTokenCreated",
        AdminTokenRotated => "AdminTokenRotated",
        AdminTokenRevoked => "AdminTokenRevoked",
    }
}

enumeration! {
    /// What an administrator may do.
    AdminRole(Role) {
        Verify => Role::Verify.name(),
        Read => Role::Read.name(),
        Write => Role::Write.name(),
        Operate => Role::Operate.name(),
        Admin => Role::Admin.name(),
    }
}

enumeration! {
    /// How an administrator proved who it is.
    AdminProof(Proof) {
        Token => Proof::Token.name(),
        BootstrapToken => Proof::BootstrapToken.name(),
        Certificate => Proof::Certificate.name(),
        PeerCredentials => Proof::PeerCredentials.name(),
        Credential => Proof::Credential.name(),
    }
}
