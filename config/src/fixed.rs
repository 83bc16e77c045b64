//! The values that a running server does not change.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::assignment::Assignment;
use crate::key::{Key, Reload};
use crate::keys::KEYS;
use crate::value;

/// The values of the keys that take effect only at a start, to find out later which of them have
/// changed. It holds hashes, because some values are secrets.
#[derive(Clone, Default)]
pub struct FixedValues(Vec<(&'static str, u64)>);

impl FixedValues {
    pub(crate) fn of(values: &[Assignment]) -> Self {
        let hash = |key: &'static Key| {
            let value = values.iter().find(|value| value.key.path == key.path);
            let compared = value.map(|value| value::compared(key.kind, &value.input));
            let mut hasher = DefaultHasher::new();
            compared.unwrap_or_default().to_string().hash(&mut hasher);
            (key.path, hasher.finish())
        };
        let fixed = KEYS.iter().filter(|key| key.reload == Reload::Restart);
        Self(fixed.map(hash).collect())
    }

    /// The paths of the keys that have other values in `other`.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(&other.0);
        let changed = pairs.filter(|(one, other)| one != other);
        changed.map(|((path, _), _)| *path).collect()
    }
}

impl fmt::Debug for FixedValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FixedValues")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::ConfigFile;

    fn fixed(yaml: &str) -> FixedValues {
        let file = ConfigFile::new(String::new(), yaml.to_owned());
        FixedValues::of(&file.assignments(&mut Vec::new()).expect("YAML"))
    }

    #[test]
    fn only_other_values_of_fixed_keys_are_changes() {
        let yaml = "serve: {workers: 2, shutdown: {delay: 60s}}\nlog: {level: info}\n";
        let start = fixed(yaml);
        for (text, other, changed) in [
            ("60s", "1m", &[][..]),
            ("info", "debug", &[]),
            ("workers: 2", "workers: 3", &["serve.workers"]),
            ("workers: 2, ", "", &["serve.workers"]),
        ] {
            assert_eq!(
                start.changed(&fixed(&yaml.replace(text, other))),
                changed,
                "{other}"
            );
        }
        let other = "db: {dsn: 'rocksdb://x'}\nserve: {shutdown: {delay: 1m}, workers: 2}";
        assert_eq!(start.changed(&fixed(other)), ["db.dsn"]);
    }
}
