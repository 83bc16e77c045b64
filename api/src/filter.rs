//! Filters of lists, a subset of AIP-160: `actor_id="…"` and `status=KEY_STATUS_…` with `AND`.

use talos_model::Status;

use crate::error::ApiError;
use crate::limits;
use crate::names::{Enumeration as _, KeyStatus};

/// The conditions of a filter. A key must meet all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) actor_id: Option<String>,
    pub(crate) status: Option<Status>,
}

/// Reads a filter. The empty filter has no condition.
///
/// # Errors
/// 400, naming what was expected and the position in characters, counted from 1.
pub(crate) fn parse(text: &str) -> Result<Filter, ApiError> {
    let mut filter = Filter::default();
    let mut scanner = Scanner { text, rest: text };
    scanner.skip_space();
    if scanner.rest.is_empty() {
        return Ok(filter);
    }
    loop {
        let at = scanner.rest;
        let is_new = match scanner.word() {
            "actor_id" => filter.actor_id.replace(scanner.actor_id()?).is_none(),
            "status" => filter.status.replace(scanner.status()?).is_none(),
            _ => return Err(scanner.expected(at, "actor_id or status")),
        };
        if !is_new {
            return Err(scanner.expected(at, "a field that is not named before"));
        }
        let is_apart = scanner.skip_space();
        if scanner.rest.is_empty() {
            return Ok(filter);
        }
        let at = scanner.rest;
        if scanner.word() != "AND" || !is_apart {
            return Err(scanner.expected(at, "AND between spaces"));
        }
        scanner.skip_space();
    }
}

struct Scanner<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// The error that `what` was expected where `at`, a suffix of the text, begins.
    fn expected(&self, at: &str, what: &str) -> ApiError {
        let before = self.text.chars().count() - at.chars().count();
        let message = format!("expected {what} at character {}", before + 1);
        ApiError::invalid_field("filter", &message)
    }

    /// Returns whether there was any space.
    fn skip_space(&mut self) -> bool {
        let before = self.rest.len();
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.rest.len() < before
    }

    /// Reads letters, digits and underscores; empty when something else comes first.
    fn word(&mut self) -> &'a str {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn equals(&mut self) -> Result<(), ApiError> {
        self.skip_space();
        let after = self.rest.strip_prefix('=');
        self.rest = after.ok_or_else(|| self.expected(self.rest, "="))?;
        self.skip_space();
        Ok(())
    }

    fn status(&mut self) -> Result<Status, ApiError> {
        self.equals()?;
        let at = self.rest;
        let word = self.word();
        let known = KeyStatus::VALUES.iter().find(|(name, _)| *name == word);
        known.map(|(_, status)| *status).ok_or_else(|| {
            let names: Vec<_> = KeyStatus::VALUES.iter().map(|(name, _)| *name).collect();
            self.expected(at, &names.join(" or "))
        })
    }

    /// Reads a text in double quotes. A backslash escapes a quote or a backslash in it.
    fn actor_id(&mut self) -> Result<String, ApiError> {
        self.equals()?;
        let at = self.rest;
        let mut text = String::new();
        let quoted = at.strip_prefix('"');
        let mut characters = quoted
            .ok_or_else(|| self.expected(at, "a text in double quotes"))?
            .chars();
        loop {
            let before = characters.as_str();
            match characters.next() {
                Some('"') => break,
                Some('\\') => match characters.next() {
                    Some(escaped @ ('"' | '\\')) => text.push(escaped),
                    _ => return Err(self.expected(before, r#"\" or \\"#)),
                },
                Some(other) => text.push(other),
                None => return Err(self.expected(before, "a closing quote")),
            }
        }
        self.rest = characters.as_str();
        if text.is_empty() || text.chars().count() > limits::ACTOR_ID_CHARS {
            let what = format!("a text of 1 to {} characters", limits::ACTOR_ID_CHARS);
            return Err(self.expected(at, &what));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let active = Some(Status::Active);
        let long = "é".repeat(limits::ACTOR_ID_CHARS);
        let quoted_long = format!("actor_id=\"{long}\"");
        let table = [
            ("", None, None),
            (" \t", None, None),
            (r#"actor_id="user_123""#, Some("user_123"), None),
            (r#"actor_id="a AND status=b""#, Some("a AND status=b"), None),
            (r#"actor_id="a\"b\\c""#, Some("a\"b\\c"), None),
            ("status=KEY_STATUS_ACTIVE", None, active),
            ("status=KEY_STATUS_REVOKED", None, Some(Status::Revoked)),
            ("status=KEY_STATUS_EXPIRED", None, Some(Status::Expired)),
            (
                r#" actor_id = "é"  AND status = KEY_STATUS_ACTIVE "#,
                Some("é"),
                active,
            ),
            (
                r#"status=KEY_STATUS_ACTIVE AND actor_id="x""#,
                Some("x"),
                active,
            ),
            (&quoted_long, Some(long.as_str()), None),
        ];
        for (text, actor_id, status) in table {
            let actor_id = actor_id.map(ToOwned::to_owned);
            assert_eq!(parse(text), Ok(Filter { actor_id, status }), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_at_its_place() {
        let long = format!("actor_id=\"{}\"", "x".repeat(limits::ACTOR_ID_CHARS + 1));
        let table = [
            ("x", 1),
            ("=", 1),
            ("name=\"x\"", 1),
            ("actor_id", 9),
            ("actor_id=", 10),
            ("actor_id=x", 10),
            ("actor_id='x'", 10),
            ("actor_id=\"\"", 10),
            (long.as_str(), 10),
            ("actor_id=\"x", 12),
            (r#"actor_id="é\n""#, 12),
            ("actor_id!=\"x\"", 9),
            ("actor_id:\"x\"", 9),
            ("actor_id==\"x\"", 10),
            ("status=ACTIVE", 8),
            ("status=KEY_STATUS_UNSPECIFIED", 8),
            ("status=\"KEY_STATUS_ACTIVE\"", 8),
            ("status=key_status_active", 8),
            ("status=KEY_STATUS_ACTIVE AND", 29),
            ("status=KEY_STATUS_ACTIVE and actor_id=\"x\"", 26),
            ("status=KEY_STATUS_ACTIVE OR actor_id=\"x\"", 26),
            ("status=KEY_STATUS_ACTIVE actor_id=\"x\"", 26),
            ("status=KEY_STATUS_ACTIVE AND status=KEY_STATUS_ACTIVE", 30),
            ("actor_id=\"é\"AND status=KEY_STATUS_ACTIVE", 13),
            ("actor_id=\"x\" AND actor_id=\"x\"", 18),
            ("AND status=KEY_STATUS_ACTIVE", 1),
            ("(status=KEY_STATUS_ACTIVE)", 1),
            ("NOT status=KEY_STATUS_ACTIVE", 1),
            ("status=KEY_STATUS_ACTIVE\0", 25),
        ];
        for (text, place) in table {
            let error = parse(text).expect_err("an error");
            assert_eq!(error.status(), 400);
            let message = error.to_string();
            assert!(message.starts_with("filter: expected "), "{message}");
            assert!(
                message.ends_with(&format!(" at character {place}")),
                "{text}: {message}"
            );
        }
    }
}
