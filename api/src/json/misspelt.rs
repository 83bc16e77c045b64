//! Names that are probably misspelt. A reader skips unknown names, so a misspelt restriction would
//! be lost without a word. A name that resembles a restricting field is therefore an error.

use super::object::{Field, Object};

/// The most edits between a misspelt name and the name that is meant.
const EDITS_MAX: usize = 2;
/// Shorter names differ by one edit from too many ordinary words: `ttl` from `url` by two.
const CHARS_FOR_EDITS_MAX: usize = 5;
/// A single letter is the beginning of too many names.
const BEGINNING_CHARS_MIN: usize = 2;
/// How much of a name is looked at. No field has a longer name.
const CHARS_MAX: usize = 64;

/// What `name`, which `object` does not declare, probably means: a restricting field, or a path to
/// one. `None` when it resembles none of them.
pub(super) fn meant(object: &Object, name: &str) -> Option<(Field, &'static str)> {
    let mut restricting = object.fields.iter().filter(|field| field.is_restricting);
    restricting.clone().next()?;
    let name = letters(name);
    restricting.find_map(|field| {
        let own = [(field.name, field.name)];
        let mut others = own.iter().chain(field.resembles);
        let (_, meant) = others.find(|(other, _)| resembles(&name, &letters(other)))?;
        Some((*field, *meant))
    })
}

/// The candidate that `name` resembles most, if it resembles one: an equal one, or else the first.
pub(crate) fn similar<'a, T>(name: &str, candidates: &'a [(&str, T)]) -> Option<&'a T> {
    let name = letters(name);
    let all = || {
        candidates
            .iter()
            .map(|(other, meant)| (letters(other), meant))
    };
    let equal = all().find(|(other, _)| *other == name);
    let found = equal.or_else(|| all().find(|(other, _)| resembles(&name, other)));
    found.map(|(_, meant)| meant)
}

/// Whether `name` is `field` but for a few edits, or one of them begins with the other.
fn resembles(name: &[char], field: &[char]) -> bool {
    let edits = if field.len() < CHARS_FOR_EDITS_MAX {
        1
    } else {
        EDITS_MAX
    };
    name.starts_with(field)
        || (name.len() >= BEGINNING_CHARS_MIN && field.starts_with(name))
        || is_within(name, field, edits)
}

/// The letters and digits of a name, in lower case: all ways to separate words are alike.
fn letters(name: &str) -> Vec<char> {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters
        .flat_map(char::to_lowercase)
        .take(CHARS_MAX)
        .collect()
}

/// Whether at most `edits` edits lead from one text to the other. An edit adds, removes or replaces
/// a character, or swaps two neighbours. The work grows with the length, not with its square.
fn is_within(one: &[char], other: &[char], edits: usize) -> bool {
    let same = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let one = one.get(same..).unwrap_or_default();
    let other = other.get(same..).unwrap_or_default();
    let ([a, one_rest @ ..], [b, other_rest @ ..]) = (one, other) else {
        return one.len().max(other.len()) <= edits;
    };
    let Some(left) = edits.checked_sub(1) else {
        return false;
    };
    let is_swapped = || match (one_rest, other_rest) {
        ([c, one_rest @ ..], [d, other_rest @ ..]) if a == d && b == c => {
            is_within(one_rest, other_rest, left)
        }
        _ => false,
    };
    is_within(one_rest, other_rest, left)
        || is_within(one_rest, other, left)
        || is_within(one, other_rest, left)
        || is_swapped()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        let count = |one: &str, other: &str| {
            (0..4).find(|edits| is_within(&letters(one), &letters(other), *edits))
        };
        for (one, other, edits) in [
            ("scopes", "scopes", Some(0)),
            ("scope", "scopes", Some(1)),
            ("scoeps", "scopes", Some(1)),
            ("socpse", "scopes", Some(2)),
            ("sopes", "scopes", Some(1)),
            ("xscopesx", "scopes", Some(2)),
            ("", "ttl", Some(3)),
            ("metadata", "scopes", None),
        ] {
            assert_eq!(count(one, other), edits, "{one} {other}");
            assert_eq!(count(other, one), edits, "{other} {one}");
        }
    }
}
