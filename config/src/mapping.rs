//! Items of lists that are mappings of texts, such as `{uid: 1000, role: read}`.

use crate::suggestion::suggest;
use crate::tree::{self, Located, Node};

/// The fields of a mapping in a list.
#[derive(Clone, Copy)]
pub(crate) struct Fields {
    /// All names.
    pub(crate) names: &'static [&'static str],
    /// Those that must be there.
    pub(crate) required: &'static [&'static str],
    /// Those of which exactly one must be there; empty = there is no such choice.
    pub(crate) one_of: &'static [&'static str],
    /// The most mappings in the list; `None` = any number.
    pub(crate) items_max: Option<usize>,
}

/// An item that is a mapping of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Mapping {
    /// The fields in their order. No name occurs twice.
    fields: Vec<(String, String)>,
}

impl Mapping {
    /// The item that `node` is; `None` unless it is a mapping of scalars. A field without a value
    /// counts as not set.
    pub(crate) fn of(node: Node) -> Option<Self> {
        let Node::Mapping(entries) = node else {
            return None;
        };
        let mut fields = Vec::with_capacity(entries.len());
        for (name, Located { value, .. }) in entries {
            match value {
                Node::Scalar(text) => fields.push((name.value, text)),
                Node::Null => {}
                Node::List(_) | Node::Mapping(_) => return None,
            }
        }
        Some(Self { fields })
    }

    /// The list that an environment variable holds: a JSON array of objects, or YAML.
    pub(crate) fn list(text: &str) -> Result<Vec<Self>, String> {
        match tree::parse(text)?.value {
            Node::Null => Some(Vec::new()),
            Node::List(items) => items.into_iter().map(|item| Self::of(item.value)).collect(),
            Node::Scalar(_) | Node::Mapping(_) => None,
        }
        .ok_or_else(|| "not a JSON array of objects whose values are texts".to_owned())
    }

    /// The item that an environment variable holds: a JSON object, or YAML.
    pub(crate) fn item(text: &str) -> Result<Self, String> {
        Self::of(tree::parse(text)?.value)
            .ok_or_else(|| "not a JSON object whose values are texts".to_owned())
    }

    /// The value of the field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a field that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("{name} is missing"))
    }

    /// Refuses fields that are not in `known`: one that is misspelt would silently do nothing.
    pub(crate) fn refuse_unknown(&self, known: &[&str]) -> Result<(), String> {
        let mut fields = self.fields.iter();
        let Some((unknown, _)) = fields.find(|(name, _)| !known.contains(&name.as_str())) else {
            return Ok(());
        };
        Err(match suggest(unknown, known.iter().copied()) {
            Some(meant) => format!("{unknown:?} is no field; did you mean {meant}?"),
            None => format!(
                "{unknown:?} is no field; the fields are {}",
                known.join(", ")
            ),
        })
    }

    /// The names and values of all fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.fields.iter();
        fields.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The values of all fields.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(_, value)| value.as_str())
    }

    /// The item on one line, for messages.
    pub(crate) fn shown(&self) -> String {
        let fields = self.fields.iter();
        let fields: Vec<_> = fields
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        fields.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_are_read_alike() {
        for text in [
            r#"[{"uid": 1000, "role": "read"}, {"uid": "app", "name": null}]"#,
            "[{uid: 1000, role: read}, {uid: app, name: }]",
            "- uid: 1000\n  role: read\n- uid: app\n",
        ] {
            let items = Mapping::list(text).expect("a list");
            assert_eq!(items.len(), 2, "{text}");
            assert_eq!(items[0].get("uid"), Some("1000"));
            assert_eq!(items[0].required("role"), Ok("read"));
            assert_eq!(items[1].shown(), "uid: app");
            assert_eq!(items[1].required("name"), Err("name is missing".to_owned()));
        }
        assert_eq!(Mapping::list(""), Ok(Vec::new()));
        assert_eq!(
            Mapping::item("{uid: 7}").map(|item| item.shown()),
            Ok("uid: 7".to_owned())
        );
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in [
            "{uid: 1}",
            "1",
            "[1]",
            "[[1]]",
            "[{uid: [1]}]",
            "[{uid: {a: 1}}]",
            "[{",
        ] {
            assert!(Mapping::list(text).is_err(), "{text}");
        }
        for text in ["[{uid: 1}]", "1", "", "{uid: [1]}"] {
            assert!(Mapping::item(text).is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_fields_are_refused_with_a_suggestion() {
        let item = Mapping::item("{uid: 1, rolle: read}").expect("a mapping");
        assert_eq!(item.refuse_unknown(&["uid", "rolle"]), Ok(()));
        let error = item.refuse_unknown(&["uid", "role"]).expect_err("refused");
        assert_eq!(error, "\"rolle\" is no field; did you mean role?");
    }
}
