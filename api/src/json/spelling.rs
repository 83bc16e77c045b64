//! The two spellings of a name.

/// Whether `name` is `field` in lowerCamelCase, the other spelling that proto3 allows.
pub(crate) fn is_camel_case_of(name: &str, field: &str) -> bool {
    let mut letters = name.chars();
    let mut begins_word = false;
    for letter in field.chars() {
        if letter == '_' {
            begins_word = true;
            continue;
        }
        let wanted = if begins_word {
            letter.to_ascii_uppercase()
        } else {
            letter
        };
        begins_word = false;
        if letters.next() != Some(wanted) {
            return false;
        }
    }
    letters.next().is_none()
}

/// The other spelling of `field`, if it has two.
pub(crate) fn camel_case(field: &str) -> Option<String> {
    let (first, rest) = field.split_once('_')?;
    let mut name = first.to_owned();
    for word in rest.split('_') {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.extend(letters);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_spelling() {
        for (name, field, is_it) in [
            ("ipRestriction", "ip_restriction", true),
            ("scopes", "scopes", true),
            ("ip_restriction", "ip_restriction", false),
            ("IpRestriction", "ip_restriction", false),
            ("ipRestrictions", "ip_restriction", false),
            ("ipRestrictio", "ip_restriction", false),
            ("iprestriction", "ip_restriction", false),
        ] {
            assert_eq!(is_camel_case_of(name, field), is_it, "{name}");
        }
        assert_eq!(camel_case("scopes"), None);
        for field in ["ip_restriction", "a_b_c", "in_2_words"] {
            let other = camel_case(field).expect("another spelling");
            assert!(is_camel_case_of(&other, field) && other != field, "{other}");
        }
    }
}
