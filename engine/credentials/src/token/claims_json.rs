//! The JSON of a derived token.
//!
//! Both formats use the same object: as the payload of a JWT (RFC 7519) and as the first caveat of
//! a macaroon.
//!
//! ```text
//! iss  issuer                        nid  tenant, hyphenated UUID        scp   scopes
//! sub  id of the parent key          akid the parent key again           meta  metadata of the parent, an object
//! iat  issued at, seconds            pid  the tenant again               vis   visibility of the parent
//! nbf  not before, seconds           oid  actor of the parent            acl   CIDR blocks; absent = from anywhere
//! exp  from here on expired, seconds tty  "jwt" or "macaroon"            aud   audiences; absent = none
//! jti  id of the token                                                   …     custom claims, at the top level
//! ```
//!
//! `akid` repeats `sub`, and `pid` repeats `nid`. A token in which they differ is malformed.

use serde::Deserialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use talos_model::cidr::Cidr;
use talos_model::limits::{TOKEN_AUDIENCES, TOKEN_CIDRS, TOKEN_SCOPES};
use talos_model::{TenantId, Visibility};
use uuid::Uuid;

use crate::token::{Claims, CustomClaims, MintError, TokenFault, TokenType, json};

/// The last second of the year 9999, the last year that RFC 3339 can express. Later times are
/// malformed.
const SECONDS_MAX: i64 = 253_402_300_799;

impl Claims {
    /// Parses the claims of a token of type `expected`. Verifies no signature.
    ///
    /// # Errors
    /// [`TokenFault::InvalidFormat`] if a claim is missing, has another JSON type or exceeds a
    /// limit of [`talos_model::limits`], or if the text is not a JSON object with unique names.
    pub fn from_json(text: &[u8], expected: TokenType) -> Result<Self, TokenFault> {
        let mut members = json::object(text).ok_or(TokenFault::InvalidFormat)?;
        if take_text(&mut members, "tty").as_deref() != Some(expected.name()) {
            return Err(TokenFault::InvalidFormat);
        }
        Self::take(&mut members, text)
            .filter(Self::is_within_bounds)
            .ok_or(TokenFault::InvalidFormat)
    }

    /// Takes the claims out of `members`, which were parsed from `text`. The remaining members are
    /// custom claims. The metadata is taken from `text`, so that its numbers stay as they were
    /// written.
    fn take(members: &mut Map<String, Value>, text: &[u8]) -> Option<Self> {
        let claims = Self {
            issuer: take_text(members, "iss")?,
            key_id: take_text(members, "sub")?.parse().ok()?,
            issued_at_s: take_seconds(members, "iat")?,
            not_before_s: take_seconds(members, "nbf")?,
            expires_at_s: take_seconds(members, "exp")?,
            token_id: take_text(members, "jti")?,
            tenant: parse_tenant(&take_text(members, "nid")?)?,
            actor_id: take_text(members, "oid")?,
            scopes: take_texts(members, "scp")?,
            metadata: match members.remove("meta") {
                None => String::new(),
                Some(Value::Object(_)) => metadata_text(text)?,
                Some(_) => return None,
            },
            visibility: match members.remove("vis") {
                None => Visibility::Secret,
                Some(name) => parse_visibility(name.as_str()?)?,
            },
            allowed_cidrs: take_texts(members, "acl")?
                .iter()
                .map(|block| block.parse().ok())
                .collect::<Option<_>>()?,
            audiences: match members.get("aud") {
                Some(Value::String(_)) => vec![take_text(members, "aud")?],
                _ => take_texts(members, "aud")?,
            },
            custom: CustomClaims::default(),
        };
        for (name, same_as) in [
            ("akid", claims.key_id.to_string()),
            ("pid", claims.tenant.to_string()),
        ] {
            if members
                .remove(name)
                .is_some_and(|value| value.as_str() != Some(&same_as))
            {
                return None;
            }
        }
        let custom = CustomClaims::new(std::mem::take(members));
        Some(Self { custom, ..claims })
    }

    /// Whether [`Self::from_json`] accepts these times and numbers of entries.
    fn is_within_bounds(&self) -> bool {
        let times = [self.issued_at_s, self.not_before_s, self.expires_at_s];
        times.iter().all(|s| (0..=SECONDS_MAX).contains(s))
            && self.scopes.len() <= TOKEN_SCOPES
            && self.allowed_cidrs.len() <= TOKEN_CIDRS
            && self.audiences.len() <= TOKEN_AUDIENCES
    }

    /// The JSON of the claims for a token of type `token_type`. Absent claims are left out; custom
    /// claims come last.
    ///
    /// # Errors
    /// [`MintError::Metadata`] if the metadata is not a JSON object, [`MintError::BeyondBounds`] if
    /// [`Self::from_json`] would refuse the claims.
    pub fn to_json(&self, token_type: TokenType) -> Result<String, MintError> {
        if !self.is_within_bounds() {
            return Err(MintError::BeyondBounds);
        }
        let metadata = self.readable_metadata()?;
        let mut text = Vec::new();
        self.write(&mut text, token_type, metadata.as_deref())
            .map_err(|_| MintError::Metadata)?;
        // The nesting depth of custom claims and metadata includes the claims object itself.
        json::object(&text).ok_or(MintError::BeyondBounds)?;
        String::from_utf8(text).map_err(|_| MintError::Metadata)
    }

    /// The metadata as it is stored. If it contains duplicate names, which strict readers refuse,
    /// only the last member of each name.
    fn readable_metadata(&self) -> Result<Option<Box<RawValue>>, MintError> {
        if self.metadata.is_empty() {
            return Ok(None);
        }
        let text = if json::object(self.metadata.as_bytes()).is_some() {
            self.metadata.clone()
        } else {
            let members: Map<String, Value> =
                serde_json::from_str(&self.metadata).map_err(|_| MintError::Metadata)?;
            Value::Object(members).to_string()
        };
        let raw = RawValue::from_string(text).map_err(|_| MintError::Metadata)?;
        Ok(Some(raw))
    }

    fn write(
        &self,
        to: &mut Vec<u8>,
        token_type: TokenType,
        metadata: Option<&RawValue>,
    ) -> serde_json::Result<()> {
        let mut serializer = serde_json::Serializer::new(to);
        let mut map = serializer.serialize_map(None)?;
        let (key_id, tenant) = (self.key_id.to_string(), self.tenant.to_string());
        map.serialize_entry("iss", &self.issuer)?;
        map.serialize_entry("sub", &key_id)?;
        map.serialize_entry("iat", &self.issued_at_s)?;
        map.serialize_entry("nbf", &self.not_before_s)?;
        map.serialize_entry("exp", &self.expires_at_s)?;
        map.serialize_entry("jti", &self.token_id)?;
        map.serialize_entry("nid", &tenant)?;
        map.serialize_entry("akid", &key_id)?;
        map.serialize_entry("pid", &tenant)?;
        map.serialize_entry("oid", &self.actor_id)?;
        map.serialize_entry("scp", &self.scopes)?;
        if let Some(metadata) = metadata {
            map.serialize_entry("meta", metadata)?;
        }
        map.serialize_entry("vis", visibility_name(self.visibility))?;
        if !self.allowed_cidrs.is_empty() {
            let blocks: Vec<String> = self.allowed_cidrs.iter().map(Cidr::to_string).collect();
            map.serialize_entry("acl", &blocks)?;
        }
        map.serialize_entry("tty", token_type.name())?;
        if !self.audiences.is_empty() {
            map.serialize_entry("aud", &self.audiences)?;
        }
        for (name, value) in self.custom.as_map() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A whole number of seconds from 1970 up to [`SECONDS_MAX`].
fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().filter(|s| (0..=SECONDS_MAX).contains(s))
}

/// A whole number of seconds. Numbers beyond 64 bits are cut to the greatest.
pub(super) fn any_seconds(value: &Value) -> Option<i64> {
    let beyond = || value.as_u64().map(|_| i64::MAX);
    value.as_i64().or_else(beyond)
}

/// The nearest time from 1970 up to [`SECONDS_MAX`].
pub(super) fn seconds_within(seconds: i64) -> i64 {
    seconds.clamp(0, SECONDS_MAX)
}

/// The strings of an array that contains only strings.
pub(super) fn texts(value: Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else {
        return None;
    };
    let text = |item| match item {
        Value::String(text) => Some(text),
        _ => None,
    };
    items.into_iter().map(text).collect()
}

fn take_text(members: &mut Map<String, Value>, name: &str) -> Option<String> {
    match members.remove(name)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn take_seconds(members: &mut Map<String, Value>, name: &str) -> Option<i64> {
    seconds(&members.remove(name)?)
}

/// An absent array counts as empty.
fn take_texts(members: &mut Map<String, Value>, name: &str) -> Option<Vec<String>> {
    members.remove(name).map_or(Some(Vec::new()), texts)
}

/// Accepts only the hyphenated lower-case spelling.
fn parse_tenant(text: &str) -> Option<TenantId> {
    let tenant = TenantId(Uuid::try_parse(text).ok()?);
    (tenant.to_string() == text).then_some(tenant)
}

fn metadata_text(claims: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow)]
        meta: &'a RawValue,
    }
    let metadata: Metadata<'_> = serde_json::from_slice(claims).ok()?;
    Some(metadata.meta.get().to_owned())
}

fn visibility_name(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Secret => "KEY_VISIBILITY_SECRET",
        Visibility::Public => "KEY_VISIBILITY_PUBLIC",
    }
}

fn parse_visibility(name: &str) -> Option<Visibility> {
    [Visibility::Secret, Visibility::Public]
        .into_iter()
        .find(|visibility| visibility_name(*visibility) == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use talos_model::KeyId;

    use crate::token::claims::tests::{KEY, custom, sample};
    use crate::token::claims_json::*;

    const SAMPLE_JSON: &str = r#"{"iss":"https://talos.example","sub":"0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b","iat":1750000000,"nbf":1750000000,"exp":1750003600,"jti":"6f1c2d3e-0000-4000-8000-000000000001","nid":"00000000-0000-0000-0000-000000000007","akid":"0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b","pid":"00000000-0000-0000-0000-000000000007","oid":"user_1","scp":["read","write"],"meta":{"team":"payments","big":123456789012345678901234567890,"f":1.50},"vis":"KEY_VISIBILITY_PUBLIC","acl":["10.0.0.0/8","2001:db8::/32"],"tty":"jwt","aud":["https://api.example"],"n":[1,{"a":null}],"role":"viewer"}"#;

    #[test]
    fn everything_is_written_and_read_back() {
        let claims = sample();
        assert_eq!(claims.to_json(TokenType::Jwt).unwrap(), SAMPLE_JSON);
        assert_eq!(
            Claims::from_json(SAMPLE_JSON.as_bytes(), TokenType::Jwt),
            Ok(claims)
        );
        let other = Claims::from_json(SAMPLE_JSON.as_bytes(), TokenType::Macaroon);
        assert_eq!(other, Err(TokenFault::InvalidFormat));
    }

    #[test]
    fn absent_claims_are_not_written() {
        let claims = Claims {
            scopes: vec![],
            metadata: String::new(),
            visibility: Visibility::Secret,
            allowed_cidrs: vec![],
            audiences: vec![],
            custom: CustomClaims::default(),
            key_id: KeyId::Imported([0xab; 32]),
            ..sample()
        };
        let text = claims.to_json(TokenType::Macaroon).unwrap();
        for name in ["meta", "acl", "aud"] {
            assert!(!text.contains(name), "{text}");
        }
        assert_eq!(
            Claims::from_json(text.as_bytes(), TokenType::Macaroon),
            Ok(claims)
        );
    }

    fn read_changed(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Claims, TokenFault> {
        let mut members = json::object(SAMPLE_JSON.as_bytes()).unwrap();
        change(&mut members);
        let text = Value::Object(members).to_string();
        Claims::from_json(text.as_bytes(), TokenType::Jwt)
    }

    #[test]
    fn one_audience_may_be_a_text() {
        let claims = read_changed(|members| members["aud"] = json!("x")).unwrap();
        assert_eq!(claims.audiences, ["x"]);
    }

    #[test]
    fn claims_of_another_shape_are_malformed() {
        let required = [
            "iss", "sub", "iat", "nbf", "exp", "jti", "nid", "oid", "tty",
        ];
        for name in required {
            let read = read_changed(|members| drop(members.remove(name)));
            assert_eq!(read, Err(TokenFault::InvalidFormat), "without {name}");
        }
        for (name, value) in [
            ("iss", json!(1)),
            ("sub", json!(KEY.to_uppercase())),
            ("sub", json!("user_1")),
            ("akid", json!("user_1")),
            ("akid", json!(null)),
            ("pid", json!("other")),
            ("nid", json!("00000000000000000000000000000007")),
            ("nid", json!("{00000000-0000-0000-0000-000000000007}")),
            ("exp", json!("1750003600")),
            ("exp", json!(1_750_003_600.5)),
            ("exp", json!(-1)),
            ("exp", json!(SECONDS_MAX + 1)),
            ("nbf", json!(u64::MAX)),
            ("scp", json!("read write")),
            ("scp", json!(["read", 1])),
            ("scp", json!(null)),
            ("scp", json!(vec!["x"; TOKEN_SCOPES + 1])),
            ("meta", json!("{}")),
            ("meta", json!([])),
            ("vis", json!("public")),
            ("acl", json!(["10.0.0.0"])),
            ("acl", json!("10.0.0.0/8")),
            ("tty", json!("JWT")),
            ("aud", json!({"a": 1})),
            ("aud", json!(vec!["x"; TOKEN_AUDIENCES + 1])),
        ] {
            let read = read_changed(|members| members[name] = value.clone());
            assert_eq!(read, Err(TokenFault::InvalidFormat), "{name}: {value}");
        }
    }

    #[test]
    fn claims_that_no_reader_accepts_are_not_written() {
        let claims = sample();
        let many = Claims {
            scopes: vec!["x".to_owned(); TOKEN_SCOPES + 1],
            ..claims.clone()
        };
        assert_eq!(many.to_json(TokenType::Jwt), Err(MintError::BeyondBounds));
        for expires_at_s in [-1, SECONDS_MAX + 1, i64::MAX] {
            let beyond = Claims {
                expires_at_s,
                ..claims.clone()
            };
            let written = beyond.to_json(TokenType::Jwt);
            assert_eq!(written, Err(MintError::BeyondBounds), "{expires_at_s}");
        }
        let mut deep = json!({});
        for _ in 0..31 {
            deep = json!([deep]);
        }
        let deep = Claims {
            custom: custom(json!({"a": deep})),
            ..claims.clone()
        };
        assert_eq!(deep.to_json(TokenType::Jwt), Err(MintError::BeyondBounds));
        let damaged = Claims {
            metadata: "{".to_owned(),
            ..claims
        };
        assert_eq!(damaged.to_json(TokenType::Jwt), Err(MintError::Metadata));
    }

    #[test]
    fn duplicate_names_of_metadata_do_not_stop_a_token() {
        let claims = Claims {
            metadata: r#"{"a":1,"a":2}"#.to_owned(),
            ..sample()
        };
        let text = claims.to_json(TokenType::Jwt).unwrap();
        let read = Claims::from_json(text.as_bytes(), TokenType::Jwt).unwrap();
        assert_eq!(read.metadata, r#"{"a":2}"#);
    }
}
