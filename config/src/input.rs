//! A value as a source spells it, and why it is refused.

use crate::mapping::Mapping;
use crate::tree::Node;

/// The value that a source gives to a key, before it is parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// A scalar.
    One(String),
    /// A list of scalars.
    Many(Vec<String>),
    /// A list of items that may expire.
    Expiring(Vec<ExpiringItem>),
    /// A list of mappings.
    Mappings(Vec<Mapping>),
}

/// An item of a list whose items may expire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExpiringItem {
    pub(crate) value: String,
    /// An RFC 3339 time; `None` = the item does not expire.
    pub(crate) expires_at: Option<String>,
}

impl ExpiringItem {
    /// An item that does not expire.
    pub(crate) fn lasting(value: String) -> Self {
        Self {
            value,
            expires_at: None,
        }
    }

    /// The item that `node` is: a text, or a mapping of `value` and `expires_at` and nothing else.
    pub(crate) fn of(node: Node) -> Option<Self> {
        let entries = match node {
            Node::Scalar(value) => return Some(Self::lasting(value)),
            Node::Mapping(entries) => entries,
            Node::Null | Node::List(_) => return None,
        };
        let (mut value, mut expires_at) = (None, None);
        for (name, node) in entries {
            match (name.value.as_str(), node.value) {
                ("value", Node::Scalar(text)) => value = Some(text),
                ("expires_at", Node::Scalar(text)) => expires_at = Some(text),
                ("expires_at", Node::Null) => {}
                _ => return None,
            }
        }
        Some(Self {
            value: value?,
            expires_at,
        })
    }
}

impl Input {
    /// Every text in the value, with its index if the value is a list.
    pub(crate) fn texts(&self) -> Vec<(Option<usize>, &str)> {
        match self {
            Self::One(text) => vec![(None, text)],
            Self::Many(items) => indexed(items.iter().map(|item| [item.as_str()])),
            Self::Expiring(items) => indexed(items.iter().map(|item| [item.value.as_str()])),
            Self::Mappings(items) => indexed(items.iter().map(Mapping::values)),
        }
    }
}

fn indexed<'a, T: IntoIterator<Item = &'a str>>(
    items: impl Iterator<Item = T>,
) -> Vec<(Option<usize>, &'a str)> {
    let texts = items
        .enumerate()
        .flat_map(|(index, texts)| texts.into_iter().map(move |text| (Some(index), text)));
    texts.collect()
}

/// Why a value is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The index of the item in a list, from 0.
    pub(crate) item: Option<usize>,
    /// The value. It is shown only if the key is not sensitive.
    pub(crate) value: String,
    /// What is wrong. Does not contain the value.
    pub(crate) problem: String,
}
