//! Reads the configuration file: finds the key of every value in it.

use std::path::{Path, PathBuf};

use talos_model::Secret;

use crate::assignment::{Assignment, Origin};
use crate::error::{ConfigError, Problem};
use crate::input::{ExpiringItem, Input};
use crate::key::Key;
use crate::keys;
use crate::mapping::Mapping;
use crate::tree::{self, Located, Node};

/// What the names of top-level mappings begin with that are not settings: they hold YAML anchors,
/// as in Compose files.
const EXTENSION: &str = "x-";

/// A configuration file that has been read. It may hold secrets.
pub struct ConfigFile {
    /// For messages.
    name: String,
    path: Option<PathBuf>,
    text: Secret,
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

impl ConfigFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            name: path.display().to_string(),
            path: Some(path.to_owned()),
            text: Secret::new(text),
        })
    }

    /// A text that is in no file. Messages call it `name`.
    #[must_use]
    pub fn new(name: String, text: String) -> Self {
        Self {
            name,
            path: None,
            text: Secret::new(text),
        }
    }

    /// The text of the file. It may hold secrets.
    #[must_use]
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// Makes a file of the same name and path that holds `text`.
    pub(crate) fn with_text(&self, text: String) -> Self {
        Self {
            name: self.name.clone(),
            path: self.path.clone(),
            text: Secret::new(text),
        }
    }

    /// The path of the file; `None` if the text is in no file.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What is in it.
    pub(crate) fn into_text(self) -> Secret {
        self.text
    }

    /// The values that the file gives to keys. Unknown keys and values of the wrong shape are added
    /// to `problems`.
    ///
    /// # Errors
    /// When the file is not YAML or is not a mapping.
    pub(crate) fn assignments(
        &self,
        problems: &mut Vec<Problem>,
    ) -> Result<Vec<Assignment>, ConfigError> {
        let content = self.content()?;
        problems.extend(content.problems);
        let unknown = content.unknown.into_iter();
        problems.extend(unknown.map(|(place, key)| keys::unknown(&key, place)));
        Ok(content.assignments)
    }

    /// As [`Self::assignments`], but keeps keys that do not exist apart.
    ///
    /// # Errors
    /// As [`Self::assignments`].
    pub(crate) fn content(&self) -> Result<FileContent, ConfigError> {
        let yaml = |message| ConfigError::Yaml {
            path: PathBuf::from(&self.name),
            message,
        };
        let mut walk = Walk {
            file: self.name.clone(),
            content: FileContent {
                assignments: Vec::new(),
                problems: Vec::new(),
                unknown: Vec::new(),
            },
        };
        match tree::parse(self.text.expose()).map_err(yaml)?.value {
            Node::Null => {}
            Node::Mapping(entries) => walk.mapping("", entries),
            Node::Scalar(_) | Node::List(_) => {
                return Err(yaml("the file must be a mapping of keys".to_owned()));
            }
        }
        Ok(walk.content)
    }
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
        self.content.assignments.push(Assignment {
            key,
            origin: Origin::File,
            place,
            input,
        });
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
