//! Reads the configuration file: finds the key of every value in it.

use std::path::Path;

use crate::assignment::Assignment;
use crate::error::{ConfigError, Problem};
use crate::input::{ExpiringItem, Input};
use crate::key::Key;
use crate::keys;
use crate::mapping::Mapping;
use crate::tree::{self, Located, Node};

/// What the names of top-level mappings begin with that are not settings: they hold YAML anchors,
/// as in Compose files.
const EXTENSION: &str = "x-";

/// The values that the file gives to keys. Unknown keys and values of the wrong shape are added to
/// `problems`.
///
/// # Errors
/// When the file cannot be read, is not YAML or is not a mapping.
pub(crate) fn read(
    path: &Path,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Assignment>, ConfigError> {
    let read = read_overlay(path)?;
    problems.extend(read.problems);
    let unknown = read.unknown.into_iter();
    problems.extend(unknown.map(|(place, key)| keys::unknown(&key, place)));
    Ok(read.assignments)
}

/// What a file says.
#[derive(Debug)]
pub(crate) struct FileContent {
    /// The values that it gives to keys.
    pub assignments: Vec<Assignment>,
    /// Values of the wrong shape.
    pub problems: Vec<Problem>,
    /// Keys that do not exist, with their places.
    pub unknown: Vec<(String, String)>,
}

/// As [`read`], but keeps keys that do not exist apart.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_overlay(path: &Path) -> Result<FileContent, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let yaml = |message| ConfigError::Yaml {
        path: path.to_owned(),
        message,
    };
    let mut walk = Walk {
        file: path.display().to_string(),
        content: FileContent {
            assignments: Vec::new(),
            problems: Vec::new(),
            unknown: Vec::new(),
        },
    };
    match tree::parse(&text).map_err(yaml)?.value {
        Node::Null => {}
        Node::Mapping(entries) => walk.mapping("", entries),
        Node::Scalar(_) | Node::List(_) => {
            return Err(yaml("the file must be a mapping of keys".to_owned()));
        }
    }
    Ok(walk.content)
}

/// Walks the tree of the file and looks its paths up in the table of keys.
struct Walk {
    file: String,
    content: FileContent,
}

impl Walk {
    fn mapping(&mut self, parent: &str, entries: Vec<(Located<String>, Located<Node>)>) {
        for (name, node) in entries {
            let path = if parent.is_empty() {
                name.value.clone()
            } else {
                format!("{parent}.{}", name.value)
            };
            if parent.is_empty() && name.value.starts_with(EXTENSION) {
                continue;
            }
            if let Some(key) = keys::find(&path) {
                self.value(key, node);
            } else if keys::is_group(&path) {
                match node.value {
                    Node::Mapping(entries) => self.mapping(&path, entries),
                    Node::Null => {}
                    Node::Scalar(_) | Node::List(_) => {
                        let place = self.place(&node);
                        self.problem(
                            place,
                            &path,
                            format!("holds further keys, such as {}", keys::first_inside(&path)),
                        );
                    }
                }
            } else {
                let place = self.place(&name);
                self.content.unknown.push((place, path));
            }
        }
    }

    fn value(&mut self, key: &'static Key, node: Located<Node>) {
        let place = self.place(&node);
        let input = match node.value {
            // A key without a value counts as not set.
            Node::Null => return,
            Node::Scalar(text) => Input::One(text),
            Node::List(items) if key.kind.items_may_expire() => {
                let mut expiring = Vec::with_capacity(items.len());
                for item in items {
                    let place = self.place(&item);
                    let Some(item) = ExpiringItem::of(item.value) else {
                        let message = format!(
                            "every item must be a text, or a mapping of value and expires_at; allowed: {}",
                            key.allowed()
                        );
                        return self.problem(place, key.path, message);
                    };
                    expiring.push(item);
                }
                Input::Expiring(expiring)
            }
            Node::List(items) if key.kind.takes_mappings() => {
                let mut mappings = Vec::with_capacity(items.len());
                for item in items {
                    let place = self.place(&item);
                    let Some(mapping) = Mapping::of(item.value) else {
                        let message = format!(
                            "every item must be a mapping of texts; allowed: {}",
                            key.allowed()
                        );
                        return self.problem(place, key.path, message);
                    };
                    mappings.push(mapping);
                }
                Input::Mappings(mappings)
            }
            Node::List(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items {
                    let place = self.place(&item);
                    match item.value {
                        Node::Scalar(text) => texts.push(text),
                        Node::Null | Node::List(_) | Node::Mapping(_) => {
                            let message =
                                format!("every item must be a text; allowed: {}", key.allowed());
                            return self.problem(place, key.path, message);
                        }
                    }
                }
                Input::Many(texts)
            }
            Node::Mapping(_) => {
                return self.problem(
                    place,
                    key.path,
                    format!("a mapping is not allowed here; allowed: {}", key.allowed()),
                );
            }
        };
        self.content
            .assignments
            .push(Assignment { key, place, input });
    }

    fn place<T>(&self, located: &Located<T>) -> String {
        format!("{}:{}:{}", self.file, located.line, located.column)
    }

    fn problem(&mut self, place: String, path: &str, message: String) {
        self.content.problems.push(Problem {
            place,
            key: path.to_owned(),
            message,
        });
    }
}
