//! The parameters after the `?` of a request target, in the form of HTML forms.

use std::borrow::Cow;

use crate::error::ApiError;
use crate::percent;

/// One parameter, as its reader and the document of the API know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// Whether it is a 32-bit integer, and not any text.
    pub(crate) is_int32: bool,
    /// What it means, for people.
    pub(crate) about: &'static str,
}

impl Parameter {
    /// A text.
    pub(crate) const fn text(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            is_int32: false,
            about,
        }
    }

    /// A whole number from 0 to 2³¹ - 1.
    pub(crate) const fn int32(name: &'static str, about: &'static str) -> Self {
        Self {
            is_int32: true,
            ..Self::text(name, about)
        }
    }
}

/// The value of `parameter`, decoded once; a `+` is a space. `None` when it is absent or empty. Other parameters
/// are not looked at.
///
/// # Errors
/// 400 when the parameter is given twice or is not percent-encoded UTF-8.
pub(crate) fn parameter<'a>(
    query: &'a str,
    parameter: &Parameter,
) -> Result<Option<Cow<'a, str>>, ApiError> {
    let name = parameter.name;
    let mut values = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(other, _)| percent::decode(other).is_some_and(|other| other == name))
        .map(|(_, value)| value);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ApiError::invalid_field(name, "is given twice"));
    }
    let decoded = if value.contains('+') {
        percent::decode(&value.replace('+', " ")).map(|text| Cow::Owned(text.into_owned()))
    } else {
        percent::decode(value)
    };
    let value = decoded
        .ok_or_else(|| ApiError::invalid_field(name, "is not percent-encoded UTF-8 text"))?;
    Ok(Some(value).filter(|value| !value.is_empty()))
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
    fn broken_and_repeated_parameters_are_refused() {
        for query in [
            "f=%", "f=%4", "f=%zz", "f=%ff", "f=+%", "f=1&f=2", "f=1&f", "f=&%66=",
        ] {
            let error = parameter(query, &F).expect_err("an error");
            assert_eq!(error.status(), 400);
            assert!(error.to_string().starts_with("f: is "), "{query}: {error}");
        }
    }
}
