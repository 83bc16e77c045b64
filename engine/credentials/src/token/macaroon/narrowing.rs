//! Caveats that a holder appends: JSON objects that restrict the macaroon.
//!
//! ```text
//! {"exp":1750000000}           expires earlier          {"scp":["read"]}          fewer scopes
//! {"nbf":1750000000}           valid from later on      {"acl":["10.1.0.0/16"]}   fewer addresses
//! ```
//!
//! A caveat may contain several of them. `exp` and `nbf` are conditions: the macaroon is valid
//! while all of them hold, so a weaker one changes nothing. A holder whose clock is behind the
//! server's may append one.
//!
//! Everything else fails closed: a caveat that is empty, contains anything else, or allows scopes
//! or addresses that were not allowed before makes the whole macaroon invalid. Otherwise the holder
//! would rely on a restriction that is not enforced.

use serde_json::{Map, Value, json};
use talos_model::cidr::Cidr;
use talos_model::limits::{TOKEN_CIDRS, TOKEN_SCOPES};

use crate::token::claims_json::{any_seconds, seconds_within, texts};
use crate::token::{Claims, TokenFault, json};

/// The restrictions of one caveat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// `exp`: expired from this time on, in seconds since 1970. It may be later than the macaroon's
    /// own expiry, or any other number.
    pub expires_at_s: Option<i64>,
    /// `nbf`: not valid before this time, in seconds since 1970, or any other number.
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
                "exp" => narrowing.expires_at_s = Some(any_seconds(&value)?),
                "nbf" => narrowing.not_before_s = Some(any_seconds(&value)?),
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

    /// Restricts `claims` as this caveat says. A time that is weaker than that of `claims` changes
    /// nothing.
    ///
    /// # Errors
    /// [`TokenFault::CaveatRefused`] if the caveat allows scopes or addresses that `claims` do not.
    pub fn apply(&self, claims: &mut Claims) -> Result<(), TokenFault> {
        if !self.narrows(claims) {
            return Err(TokenFault::CaveatRefused);
        }
        if let Some(expires_at_s) = self.expires_at_s {
            claims.expires_at_s = claims.expires_at_s.min(seconds_within(expires_at_s));
        }
        if let Some(not_before_s) = self.not_before_s {
            claims.not_before_s = claims.not_before_s.max(seconds_within(not_before_s));
        }
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
        self.scopes
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
    fn weaker_times_change_nothing() {
        for caveat in [
            r#"{"exp":1750003601}"#,
            r#"{"exp":253402300800}"#,
            r#"{"exp":9223372036854775807}"#,
            r#"{"exp":18446744073709551615}"#,
            r#"{"nbf":1749999999}"#,
            r#"{"nbf":0}"#,
            r#"{"nbf":-1}"#,
            r#"{"nbf":-9223372036854775808}"#,
            r#"{"exp":1750009999,"nbf":1749999000}"#,
        ] {
            assert_eq!(narrowed(caveat), Ok(sample()), "{caveat}");
        }
        // The other member of the caveat counts.
        let times = |caveat| narrowed(caveat).map(|c| (c.not_before_s, c.expires_at_s));
        let (from, until) = (sample().not_before_s, sample().expires_at_s);
        let mixed = times(r#"{"exp":1750001000,"nbf":1}"#);
        assert_eq!(mixed, Ok((from, 1_750_001_000)));
        let mixed = times(r#"{"exp":1750009999,"nbf":1750000500}"#);
        assert_eq!(mixed, Ok((1_750_000_500, until)));
        // Times that never come, or were never there.
        assert_eq!(times(r#"{"exp":-5}"#), Ok((from, 0)));
        let never = times(r#"{"nbf":9223372036854775807}"#);
        assert_eq!(never, Ok((253_402_300_799, until)));
    }

    #[test]
    fn the_window_is_the_intersection_of_all_caveats() {
        let mut claims = sample();
        for caveat in [
            r#"{"exp":1750003000}"#,
            r#"{"exp":1750003000}"#,
            r#"{"exp":1750003500,"nbf":1750000200}"#,
            r#"{"nbf":1750000100}"#,
            r#"{"exp":1750002000}"#,
            r#"{"exp":1750009999}"#,
        ] {
            let narrowing = Narrowing::parse(caveat.as_bytes()).unwrap();
            narrowing.apply(&mut claims).unwrap();
        }
        let window = (claims.not_before_s, claims.expires_at_s);
        assert_eq!(window, (1_750_000_200, 1_750_002_000));
    }

    #[test]
    fn everything_else_is_refused() {
        for caveat in [
            // Wider than before.
            r#"{"scp":["admin"]}"#,
            r#"{"scp":["read","admin"]}"#,
            r#"{"scp":["Read"]}"#,
            r#"{"acl":[]}"#,
            r#"{"acl":["0.0.0.0/0"]}"#,
            r#"{"acl":["10.0.0.0/7"]}"#,
            r#"{"acl":["10.1.0.0/16","11.0.0.0/16"]}"#,
            r#"{"acl":["::/0"]}"#,
            r#"{"exp":1750001000,"scp":["admin"]}"#,
            r#"{"exp":1750009000,"scp":["admin"]}"#,
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
