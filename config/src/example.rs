//! Examples of values.

use serde_json::Value;

use crate::file::ConfigFile;
use crate::input::Input;
use crate::key::{Key, Sensitivity};
use crate::mask::masked;
use crate::value;
use crate::yaml::{SectionComments, YamlWriter, flow};

impl Key {
    /// The default as JSON; null if there is none.
    #[must_use]
    pub fn default_value(&self) -> Value {
        let default = self.default_input();
        default.map_or(Value::Null, |input| value::shown(self.kind, &input))
    }

    /// A value as it may stand in the file, on one line. An example of a secret is masked, because
    /// somebody would use it.
    #[must_use]
    pub fn example_text(&self) -> String {
        match self.sensitivity {
            Sensitivity::Public => self.unmasked_example(),
            Sensitivity::Secret => flow(&self.example_value()),
        }
    }

    /// Converts the value to JSON.
    #[must_use]
    pub fn example_value(&self) -> Value {
        let input = self.example_input();
        let value = input.map_or(Value::Null, |input| value::shown(self.kind, &input));
        masked(self, value)
    }

    fn unmasked_example(&self) -> String {
        match self.example {
            "" => flow(&self.default_value()),
            example => example.to_owned(),
        }
    }

    /// `None` if the example is no value of this key, which a test excludes.
    fn example_input(&self) -> Option<Input> {
        let mut yaml = YamlWriter::new(SectionComments::LeftOut);
        yaml.key(self.path, &[], &self.unmasked_example(), "");
        let file = ConfigFile::new(self.path.to_owned(), yaml.finish());
        let mut problems = Vec::new();
        let mut read = file.assignments(&mut problems).ok()?;
        read.pop().map(|value| value.input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KEYS;
    use crate::settings::Settings;

    #[test]
    fn every_key_is_described_and_has_an_example_that_is_accepted() {
        for key in KEYS {
            let path = key.path;
            assert!(key.about.ends_with('.'), "{path} needs .about(\"…\")");
            let input = key.example_input();
            let input = input.unwrap_or_else(|| panic!("{path} needs .example(\"…\")"));
            let applied = key.kind.apply(&mut Settings::blank(), &input);
            assert!(applied.is_ok(), "{path}: {applied:?}");
        }
    }

    #[test]
    fn examples_of_secrets_cannot_be_used() {
        let example = |path: &str| crate::keys::find(path).map(Key::example_text);
        let current = example("secrets.hmac.current");
        assert_eq!(current.as_deref(), Some("\"********\""));
        let retired = example("secrets.hmac.retired");
        let masked = "[{expires_at: 2027-01-31T00:00:00Z, value: \"********\"}]";
        assert_eq!(retired.as_deref(), Some(masked));
    }
}
