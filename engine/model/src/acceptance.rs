//! What a node accepts as proof in credentials, and how two nodes differ in it.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use crate::limits::{ACCEPTED_VALUE_BYTES, ACCEPTED_VALUES};

/// The most values of a difference that a text names.
const SHOWN_VALUES: usize = 8;

/// The accepted values of one setting, such as the fingerprints of the secrets, or the prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedSetting {
    /// The path of the setting in the configuration.
    pub name: String,
    /// The values, in order.
    pub values: Vec<String>,
}

impl AcceptedSetting {
    /// These values of a setting. A value that is too long to be sent is replaced by a digest, and
    /// so are all values together if they are too many.
    #[must_use]
    pub fn new(name: &str, values: Vec<String>) -> Self {
        let mut values: Vec<_> = values.into_iter().map(short).collect();
        values.sort_unstable();
        values.dedup();
        if values.len() > ACCEPTED_VALUES {
            values = vec![digest(&values.join("\n"))];
        }
        Self {
            name: name.to_owned(),
            values,
        }
    }
}

fn short(value: String) -> String {
    if value.len() <= ACCEPTED_VALUE_BYTES {
        return value;
    }
    digest(&value)
}

fn digest(text: &str) -> String {
    format!("#{:032x}", xxh3_128(text.as_bytes()))
}

/// Everything that decides which credentials a node accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acceptance(pub Vec<AcceptedSetting>);

/// How two nodes differ in one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path of the setting in the configuration.
    pub setting: String,
    /// What the other node accepts and this one does not.
    pub lacking_here: Vec<String>,
    /// What this node accepts and the other one does not.
    pub lacking_there: Vec<String>,
}

impl Acceptance {
    /// How this node differs from another one. A setting that only one of them knows is left out:
    /// the nodes are of different releases.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let known = self.0.iter().filter_map(|here| {
            let mut others = other.0.iter();
            let there = others.find(|there| there.name == here.name)?;
            Some((here, there))
        });
        let differing = known.filter(|(here, there)| here.values != there.values);
        differing
            .map(|(here, there)| Difference {
                setting: here.name.clone(),
                lacking_here: without(&there.values, &here.values),
                lacking_there: without(&here.values, &there.values),
            })
            .collect()
    }
}

impl Difference {
    /// Whether this node refuses credentials that the other one accepts.
    #[must_use]
    pub fn refuses_here(&self) -> bool {
        !self.lacking_here.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            lacking_here,
            lacking_there,
        } = self;
        let (here, there) = (list(lacking_here), list(lacking_there));
        match (lacking_here.is_empty(), lacking_there.is_empty()) {
            (_, true) => write!(f, "{setting}: {here} is accepted there and not here"),
            (true, false) => write!(f, "{setting}: {there} is accepted here and not there"),
            (false, false) => write!(
                f,
                "{setting}: {here} is accepted there and not here, {there} here and not there"
            ),
        }
    }
}

/// The first values, as a text.
fn list(values: &[String]) -> String {
    let shown = values.get(..SHOWN_VALUES).unwrap_or(values).join(", ");
    match values.len().saturating_sub(SHOWN_VALUES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The values that are not in `others`.
fn without(values: &[String], others: &[String]) -> Vec<String> {
    let lacking = values.iter().filter(|value| !others.contains(value));
    lacking.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(settings: &[(&str, &[&str])]) -> Acceptance {
        let settings = settings.iter().map(|(name, values)| {
            AcceptedSetting::new(name, values.iter().map(|&value| value.to_owned()).collect())
        });
        Acceptance(settings.collect())
    }

    fn shown(here: &[&str], there: &[&str]) -> Vec<(String, bool)> {
        let differences = accepting(&[("s", here)]).differences(&accepting(&[("s", there)]));
        let shown = differences.iter();
        shown
            .map(|one| (one.to_string(), one.refuses_here()))
            .collect()
    }

    #[test]
    fn differences_name_what_each_side_lacks() {
        assert_eq!(shown(&["a"], &["a"]), []);
        assert_eq!(shown(&["a", "b", "c"], &["a", "c", "b"]), []);
        for (here, there, text, refuses) in [
            (
                &["a"][..],
                &["b"][..],
                "s: b is accepted there and not here, a here and not there",
                true,
            ),
            (
                &["a"],
                &["a", "b"],
                "s: b is accepted there and not here",
                true,
            ),
            (
                &["a", "b"],
                &["b"],
                "s: a is accepted here and not there",
                false,
            ),
            (&[], &["a"], "s: a is accepted there and not here", true),
        ] {
            assert_eq!(shown(here, there), [(text.to_owned(), refuses)]);
        }
    }

    #[test]
    fn long_values_are_compared_by_a_digest() {
        let [one, other] = ["a", "b"].map(|end| "x".repeat(ACCEPTED_VALUE_BYTES) + end);
        assert_eq!(shown(&[&one], &[&one]), []);
        let differences = shown(&[&one], &[&other]);
        assert!(differences[0].0.len() < 200 && differences[0].1);
        let many: Vec<_> = (0..=ACCEPTED_VALUES).map(|n| n.to_string()).collect();
        let other = AcceptedSetting::new("s", many[1..].to_vec());
        assert_eq!(other.values.len(), ACCEPTED_VALUES);
        let digest = AcceptedSetting::new("s", many);
        assert_eq!(digest.values.len(), 1);
        assert_ne!(digest, other);
    }

    #[test]
    fn settings_that_one_side_does_not_know_are_not_compared() {
        let here = accepting(&[("s", &["a"]), ("new", &["b"])]);
        assert_eq!(here.differences(&accepting(&[("s", &["a"])])), []);
        assert_eq!(accepting(&[]).differences(&here), []);
    }
}
