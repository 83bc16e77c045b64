//! The parameters after the `?` of a request target, encoded like an HTML form.

use std::borrow::Cow;

use crate::error::ApiError;
use crate::form::Form;
use crate::json::misspelt;
use crate::{json, percent};

/// The longest unknown name that an error repeats.
const NAME_BYTES_MAX: usize = 64;

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterKind {
    Text,
    /// A whole number within bounds.
    Int32 {
        min: i32,
        max: i32,
    },
    /// `true` or `false`.
    Boolean,
    /// A list of texts: the parameter is repeated, or its value has commas.
    Texts,
}

/// One parameter. Readers and the `OpenAPI` document use these constants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: ParameterKind,
    /// The form of a text, or of each text of a list.
    pub(crate) form: Form,
    /// Its description.
    pub(crate) about: &'static str,
}

impl Parameter {
    /// A parameter that is a text.
    pub(crate) const fn text(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            kind: ParameterKind::Text,
            form: Form::Any,
            about,
        }
    }

    /// A parameter that is a whole number from `min` to `max`.
    pub(crate) const fn int32(name: &'static str, min: i32, max: i32, about: &'static str) -> Self {
        Self {
            kind: ParameterKind::Int32 { min, max },
            ..Self::text(name, about)
        }
    }

    /// A parameter that is `true` or `false`.
    pub(crate) const fn boolean(name: &'static str, about: &'static str) -> Self {
        Self {
            kind: ParameterKind::Boolean,
            ..Self::text(name, about)
        }
    }

    /// A parameter that is a list of texts.
    pub(crate) const fn texts(name: &'static str, about: &'static str) -> Self {
        Self {
            kind: ParameterKind::Texts,
            ..Self::text(name, about)
        }
    }

    /// Gives the form of the text, or of each text of the list.
    pub(crate) const fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }
}

/// The value of `parameter`, whose name may also be in lowerCamelCase, decoded once; a `+` is a
/// space. `None` when it is absent or empty.
/// Other parameters are ignored; see [`refuse_unknown`].
///
/// # Errors
/// 400 when the parameter is given twice or is not percent-encoded UTF-8.
pub(crate) fn parameter<'a>(
    query: &'a str,
    parameter: &Parameter,
) -> Result<Option<Cow<'a, str>>, ApiError> {
    let name = parameter.name;
    let mut values = values(query, name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ApiError::invalid_field(name, "is given twice"));
    }
    let value = decoded(value, name)?;
    Ok(Some(value).filter(|value| !value.is_empty()))
}

/// The value of `parameter`, `true` or `false`; `None` when it is absent. A name that was probably
/// meant for the parameter is refused: the request would do what it should not.
///
/// # Errors
/// 400 when the value is another one or absent, when the parameter is given twice, and for a
/// similar name.
pub(crate) fn boolean(query: &str, parameter: &Parameter) -> Result<Option<bool>, ApiError> {
    let name = parameter.name;
    for pair in query.split('&') {
        let (other, _) = pair.split_once('=').unwrap_or((pair, ""));
        let other = percent::decode(other).unwrap_or_default();
        let is_it = other == name || json::is_camel_case_of(&other, name);
        if !is_it && misspelt::similar(&other, &[(name, name)]).is_some() {
            return Err(unknown(&other, std::slice::from_ref(parameter), &[]));
        }
    }
    let mut values = values(query, name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ApiError::invalid_field(name, "is given twice"));
    }
    match &*decoded(value, name)? {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(ApiError::invalid_field(name, "must be true or false")),
    }
}

/// All values of `parameter` in order. It may be repeated, and each value may be a list with
/// commas. Empty values are left out.
///
/// # Errors
/// 400 when a value is not percent-encoded UTF-8.
pub(crate) fn list(query: &str, parameter: &Parameter) -> Result<Vec<String>, ApiError> {
    let mut all = Vec::new();
    for value in values(query, parameter.name) {
        let value = decoded(value, parameter.name)?;
        let texts = value.split(',').filter(|text| !text.is_empty());
        all.extend(texts.map(str::to_owned));
    }
    Ok(all)
}

/// Refuses a query with a parameter that nothing reads: a condition that is not applied would show
/// more than was asked for. `others` are names of other systems, with what to write instead.
///
/// # Errors
/// 400 with a suggestion, and with the parameters that there are.
pub(crate) fn refuse_unknown(
    query: &str,
    known: &[Parameter],
    others: &[(&str, &str)],
) -> Result<(), ApiError> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent::decode(name).unwrap_or(Cow::Borrowed(name));
        let is_it = |it: &Parameter| name == it.name || json::is_camel_case_of(&name, it.name);
        if !known.iter().any(is_it) {
            return Err(unknown(&name, known, others));
        }
    }
    Ok(())
}

fn unknown(name: &str, known: &[Parameter], others: &[(&str, &str)]) -> ApiError {
    let names: Vec<_> = known.iter().map(|it| it.name).collect();
    let names = names.join(", ");
    // Anything can stand there; only what looks like a name is repeated.
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"_-.".contains(&it));
    if !is_name {
        let message = format!("has an unknown parameter; allowed: {names}");
        return ApiError::invalid_field("query", &message);
    }
    let own = known.iter().map(|it| (it.name, it.name));
    let candidates: Vec<_> = own.chain(others.iter().copied()).collect();
    let meant = misspelt::similar(name, &candidates)
        .map_or_else(String::new, |it| format!("did you mean {it}? "));
    let message = format!("is unknown here; {meant}allowed: {names}");
    ApiError::invalid_field(name, &message)
}

/// The values of every parameter with this name, still encoded.
fn values<'a>(query: &'a str, name: &'static str) -> impl Iterator<Item = &'a str> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(move |(other, _)| {
            let is_it = |other: &str| other == name || json::is_camel_case_of(other, name);
            percent::decode(other).is_some_and(|other| is_it(&other))
        })
        .map(|(_, value)| value)
}

fn decoded<'a>(value: &'a str, name: &str) -> Result<Cow<'a, str>, ApiError> {
    let decoded = if value.contains('+') {
        percent::decode(&value.replace('+', " ")).map(|text| Cow::Owned(text.into_owned()))
    } else {
        percent::decode(value)
    };
    decoded.ok_or_else(|| ApiError::invalid_field(name, "is not percent-encoded UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: Parameter = Parameter::text("f", "");

    #[test]
    fn parameters_are_found_and_decoded_once() {
        let table = [
            ("", None),
            ("f", None),
            ("f=", None),
            ("g=1", None),
            ("F=1", None),
            ("ff=1&xf=2", None),
            ("f=1", Some("1")),
            ("g=2&f=1&h", Some("1")),
            ("%66=1", Some("1")),
            ("f=a%3D%22b%22", Some("a=\"b\"")),
            ("f=a=b", Some("a=b")),
            ("f=a+b%2Bc%20d", Some("a b+c d")),
            ("f=%2525", Some("%25")),
            ("f=%00", Some("\0")),
            ("f=%26", Some("&")),
            ("f=1&g=%zz", Some("1")),
        ];
        for (query, wanted) in table {
            assert_eq!(
                parameter(query, &F),
                Ok(wanted.map(Cow::Borrowed)),
                "{query}"
            );
        }
    }

    #[test]
    fn a_list_is_repeated_or_has_commas() {
        const L: Parameter = Parameter::texts("l", "");
        let table: [(&str, &[&str]); 5] = [
            ("", &[]),
            ("l=&m=x", &[]),
            ("l=a&l=b,c&m=x", &["a", "b", "c"]),
            ("l=a%2Cb,,c+d", &["a", "b", "c d"]),
            ("%6c=a", &["a"]),
        ];
        for (query, wanted) in table {
            assert_eq!(list(query, &L).expect("a list"), wanted, "{query}");
        }
        assert_eq!(list("l=a&l=%ff", &L).expect_err("no text").status(), 400);
    }

    #[test]
    fn broken_and_repeated_parameters_are_refused() {
        for query in [
            "f=%", "f=%4", "f=%zz", "f=%ff", "f=+%", "f=1&f=2", "f=1&f", "f=&%66=",
        ] {
            let error = parameter(query, &F).expect_err("an error");
            assert_eq!(error.status(), 400);
            assert!(error.to_string().starts_with("f: is "), "{query}: {error}");
        }
    }

    #[test]
    fn a_boolean_is_true_or_false() {
        const B: Parameter = Parameter::boolean("observe", "");
        for (query, wanted) in [
            ("", None),
            ("other=1&&x", None),
            ("observe=true", Some(true)),
            ("other=1&observe=false", Some(false)),
            ("%6fbserve=%74rue", Some(true)),
        ] {
            assert_eq!(boolean(query, &B), Ok(wanted), "{query}");
        }
        for query in [
            "observe",
            "observe=",
            "observe=1",
            "observe=TRUE",
            "observe=true&observe=true",
            "observe=%ff",
            "Observe=true",
            "observed=true",
            "obsevre=true",
        ] {
            let error = boolean(query, &B).expect_err(query);
            assert_eq!(error.status(), 400, "{query}");
            assert!(error.to_string().contains("bse"), "{query}: {error}");
        }
    }

    #[test]
    fn unknown_parameters_are_refused_with_a_suggestion() {
        const KNOWN: [Parameter; 2] = [
            Parameter::int32("page_size", 0, i32::MAX, ""),
            Parameter::text("filter", ""),
        ];
        const OTHERS: [(&str, &str); 1] = [("status", "filter=status=X")];
        for query in [
            "",
            "&",
            "filter",
            "filter=1&page_size=2",
            "pageSize=1&%66ilter=&",
            "page%5Fsize=1",
        ] {
            assert_eq!(refuse_unknown(query, &KNOWN, &OTHERS), Ok(()), "{query}");
        }
        for (query, beginning) in [
            (
                "status=X",
                "status: is unknown here; did you mean filter=status=X?",
            ),
            (
                "Status=X",
                "Status: is unknown here; did you mean filter=status=X?",
            ),
            (
                "%73tatus",
                "status: is unknown here; did you mean filter=status=X?",
            ),
            (
                "filter=1&page-size=2",
                "page-size: is unknown here; did you mean page_size?",
            ),
            (
                "pagesize=2",
                "pagesize: is unknown here; did you mean page_size?",
            ),
            (
                "zebra=1",
                "zebra: is unknown here; allowed: page_size, filter",
            ),
            ("=1", "query: has an unknown parameter; allowed"),
            ("%zz=1", "query: has an unknown parameter; allowed"),
            ("<b>=1", "query: has an unknown parameter; allowed"),
        ] {
            let error = refuse_unknown(query, &KNOWN, &OTHERS).expect_err("unknown");
            assert_eq!(error.status(), 400);
            assert!(error.to_string().starts_with(beginning), "{query}: {error}");
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let error = refuse_unknown(&long, &KNOWN, &OTHERS).expect_err("unknown");
        assert!(!error.to_string().contains("xxx"), "{error}");
    }

    #[test]
    fn a_name_has_two_spellings() {
        const TWO_WORDS: Parameter = Parameter::text("two_words", "");
        for query in ["two_words=1", "twoWords=1", "two%57ords=1"] {
            let value = parameter(query, &TWO_WORDS);
            assert_eq!(value, Ok(Some(Cow::Borrowed("1"))), "{query}");
        }
        assert!(parameter("two_words=1&twoWords=1", &TWO_WORDS).is_err());
        assert_eq!(parameter("TwoWords=1&twowords=1", &TWO_WORDS), Ok(None));
    }
}
