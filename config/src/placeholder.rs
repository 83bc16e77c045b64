//! Finds references to variables that nobody has replaced, such as `${HMAC_SECRET}`.
//!
//! Files and variables are read as they are: nothing in them is expanded. A reference that remains
//! is therefore a mistake, and taken literally it would become a secret or a path that everybody
//! can guess.

/// What to do instead. It does not repeat the reference, which may be a part of a secret.
const ADVICE: &str = "values are not expanded; put the value itself here or into its TALOS_ variable, or replace references before the start, for instance with envsubst";

/// Refuses a text that holds `${NAME}` (also with a default, as in `${NAME:-text}`), `$(NAME)` as
/// Kubernetes leaves it for unknown names, or a template expression between double braces; or that
/// is nothing but `$NAME`.
///
/// # Errors
/// What is wrong and what to do. It never contains the text.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let form = if holds(text, "${", '}') {
        "${NAME}"
    } else if holds(text, "$(", ')') {
        "$(NAME)"
    } else if text
        .split_once("{{")
        .is_some_and(|(_, rest)| rest.contains("}}"))
    {
        "{{ … }}"
    } else if text.strip_prefix('$').is_some_and(is_shouted) {
        "$NAME"
    } else {
        return Ok(());
    };
    Err(format!("holds a reference of the form {form}: {ADVICE}"))
}

/// Whether `text` has `open`, the name of a variable, and then `close`. Between the name and
/// `close` may be an operator of the shell, such as `:-` and a default.
fn holds(text: &str, open: &str, close: char) -> bool {
    text.match_indices(open).any(|(at, _)| {
        let rest = text.get(at + open.len()..).unwrap_or_default();
        let Some((inside, _)) = rest.split_once(close) else {
            return false;
        };
        let end = inside.find(|c: char| !is_in_name(c));
        let (name, operator) = inside.split_at(end.unwrap_or(inside.len()));
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        begins && (operator.is_empty() || operator.starts_with([':', '-', '+', '?', '=']))
    })
}

fn is_in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether `text` is the name of a variable in upper case.
fn is_shouted(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_refused_without_repeating_them() {
        for text in [
            "${HMAC_SECRET}",
            "prefix-${x}-suffix",
            "${A:-default}",
            "${A-}",
            "${A?is missing}",
            "rocksdb://${HOME}/data",
            "$(SECRET)",
            "{{ .Values.secret }}",
            "{{secret}}",
            "$HMAC_SECRET",
            "$_A1",
        ] {
            let error = check(text).expect_err(text);
            assert!(!error.contains("HMAC_SECRET"), "{error}");
            assert!(error.contains("not expanded"), "{error}");
        }
    }

    #[test]
    fn other_texts_with_dollars_and_braces_are_values() {
        for text in [
            "",
            "$",
            "${}",
            "${",
            "${A",
            "${1}",
            "${a b}",
            "a$b",
            "$abc",
            "$A-b",
            "5$",
            "{a}",
            "}}{{",
            "$()",
            "a{{b",
            "pa$$word{x}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }
}
