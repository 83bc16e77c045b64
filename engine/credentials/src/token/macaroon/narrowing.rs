//! Caveats that a holder appends: JSON objects that restrict the macaroon.
//!
//! ```text
//! {"exp":1750000000}           expires earlier          {"scp":["read"]}          fewer scopes
//! {"nbf":1750000000}           valid from later on      {"acl":["10.1.0.0/16"]}   fewer addresses
//! ```
//!
//! A caveat may contain several of them. It fails closed: a caveat that is empty, contains anything
//! else, or allows more than was allowed before it makes the whole macaroon invalid. Otherwise the
//! holder would rely on a restriction that is not enforced.

use serde_json::{Map, Value, json};
use talos_model::cidr::Cidr;
use talos_model::limits::{TOKEN_CIDRS, TOKEN_SCOPES};

use crate::token::claims_json::{seconds, texts};
use crate::token::{Claims, TokenFault, json};

/// The restrictions of one caveat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// `exp`: expired from this time on, in seconds since 1970.
    pub expires_at_s: Option<i64>,
    /// `nbf`: not valid before this time, in seconds since 1970.
    pub not_before_s: Option<i64>,
    /// `scp`: allows only these scopes.
    pub scopes: Option<Vec<String>>,
    /// `acl`: may be used only from these blocks. An empty list would mean every address, so it is
    /// refused.
    pub allowed_cidrs: Option<Vec<Cidr>>,
}

impl Narrowing {
    /// Parses a caveat.
    ///
    /// # Errors
    /// [`TokenFault::CaveatRefused`] unless it is a JSON object of one or more of the members
    /// above.
    pub fn parse(caveat: &[u8]) -> Result<Self, TokenFault> {
        json::object(caveat)
            .filter(|members| !members.is_empty())
            .and_then(Self::from_members)
            .ok_or(TokenFault::CaveatRefused)
    }

    fn from_members(members: Map<String, Value>) -> Option<Self> {
        let mut narrowing = Self::default();
        for (name, value) in members {
            match name.as_str() {
                "exp" => narrowing.expires_at_s = Some(seconds(&value)?),
                "nbf" => narrowing.not_before_s = Some(seconds(&value)?),
                "scp" => {
                    let scopes = texts(value)?;
                    narrowing.scopes = Some(scopes).filter(|s| s.len() <= TOKEN_SCOPES);
                    narrowing.scopes.as_ref()?;
                }
                "acl" => {
                    let blocks = texts(value)?;
                    if blocks.len() > TOKEN_CIDRS {
                        return None;
                    }
                    let blocks = blocks.iter().map(|block| block.parse().ok());
                    narrowing.allowed_cidrs = Some(blocks.collect::<Option<_>>()?);
                }
                _ => return None,
            }
        }
        Some(narrowing)
    }

    /// The JSON of the caveat.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut members = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            members.extend(value.map(|value| (name.to_owned(), value)));
        };
        put("exp", self.expires_at_s.map(Value::from));
        put("nbf", self.not_before_s.map(Value::from));
        put("scp", self.scopes.as_ref().map(|scopes| json!(scopes)));
        let blocks = self.allowed_cidrs.as_ref();
        put(
            "acl",
            blocks.map(|blocks| blocks.iter().map(Cidr::to_string).collect()),
        );
        Value::Object(members).to_string()
    }

    /// Restricts `claims` as this caveat says.
    ///
    /// # Errors
    /// [`TokenFault::CaveatRefused`] if the caveat allows anything that `claims` do not.
    pub fn apply(&self, claims: &mut Claims) -> Result<(), TokenFault> {
        if !self.narrows(claims) {
            return Err(TokenFault::CaveatRefused);
        }
        claims.expires_at_s = self.expires_at_s.unwrap_or(claims.expires_at_s);
        claims.not_before_s = self.not_before_s.unwrap_or(claims.not_before_s);
        if let Some(scopes) = &self.scopes {
            claims.scopes.clone_from(scopes);
        }
        if let Some(blocks) = &self.allowed_cidrs {
            claims.allowed_cidrs.clone_from(blocks);
        }
        Ok(())
    }

    fn narrows(&self, claims: &Claims) -> bool {
        let within = |block: &Cidr| {
            claims.allowed_cidrs.is_empty()
                || claims.allowed_cidrs.iter().any(|of| block.lies_within(of))
        };
        self.expires_at_s.is_none_or(|s| s <= claims.expires_at_s)
            && self.not_before_s.is_none_or(|s| s >= claims.not_before_s)
            && self
                .scopes
                .as_ref()
                .is_none_or(|scopes| scopes.iter().all(|scope| claims.scopes.contains(scope)))
            && self
                .allowed_cidrs
                .as_ref()
                .is_none_or(|blocks| !blocks.is_empty() && blocks.iter().all(within))
    }
}

#[cfg(test)]
mod tests {
    use crate::token::claims::tests::sample;
    use crate::token::macaroon::narrowing::*;

    fn narrowed(caveat: &str) -> Result<Claims, TokenFault> {
        let mut claims = sample();
        Narrowing::parse(caveat.as_bytes())?.apply(&mut claims)?;
        Ok(claims)
    }

    #[test]
    fn each_member_takes_away() {
        let caveat = r#"{"acl":["10.1.0.0/16","2001:db8::/48"],"exp":1750001000,"nbf":1750000500,"scp":["read"]}"#;
        let claims = narrowed(caveat).unwrap();
        let expected = Claims {
            expires_at_s: 1_750_001_000,
            not_before_s: 1_750_000_500,
            scopes: vec!["read".to_owned()],
            allowed_cidrs: vec![
                "10.1.0.0/16".parse().unwrap(),
                "2001:db8::/48".parse().unwrap(),
            ],
            ..sample()
        };
        assert_eq!(claims, expected);
        let narrowing = Narrowing::parse(caveat.as_bytes()).unwrap();
        assert_eq!(narrowing.to_json(), caveat);
    }

    #[test]
    fn empty_and_equal_restrictions_are_allowed() {
        for caveat in [
            r#"{"scp":[]}"#,
            r#"{"exp":1750003600,"nbf":1750000000}"#,
            r#"{"scp":["write","read"]}"#,
            r#"{"acl":["10.0.0.0/8"]}"#,
            r#"{"acl":["::ffff:10.0.0.0/104"]}"#,
        ] {
            assert!(narrowed(caveat).is_ok(), "{caveat}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for caveat in [
            // Wider than before.
            r#"{"exp":1750003601}"#,
            r#"{"nbf":1749999999}"#,
            r#"{"scp":["admin"]}"#,
            r#"{"scp":["read","admin"]}"#,
            r#"{"scp":["Read"]}"#,
            r#"{"acl":[]}"#,
            r#"{"acl":["0.0.0.0/0"]}"#,
            r#"{"acl":["10.0.0.0/7"]}"#,
            r#"{"acl":["10.1.0.0/16","11.0.0.0/16"]}"#,
            r#"{"acl":["::/0"]}"#,
            r#"{"exp":1750001000,"scp":["admin"]}"#,
            // Not known.
            "{}",
            r#"{"aud":["x"]}"#,
            r#"{"exp":1750001000,"x":1}"#,
            r#"{"EXP":1750001000}"#,
            "time < 2030-01-01T00:00",
            // Malformed.
            "",
            "null",
            "[]",
            r#"{"exp":"1750001000"}"#,
            r#"{"exp":1750001000.0}"#,
            r#"{"exp":1750001000,"exp":1750009000}"#,
            r#"{"exp":1750001000} "x""#,
            r#"{"scp":"read"}"#,
            r#"{"scp":null}"#,
            r#"{"acl":["10.1.0.0"]}"#,
        ] {
            assert_eq!(narrowed(caveat), Err(TokenFault::CaveatRefused), "{caveat}");
        }
    }
}
