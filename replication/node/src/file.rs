//! The node file: the node's name, and whether the node was promoted over its configuration.
//!
//! ```text
//! talos-data/node  node 0f3a…                     32 hexadecimal digits, drawn at the first start
//!                  promoted replica of HOST:PORT  only after a promotion: the configuration then
//! ```
//!
//! Written by sync and rename.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use talos_model::Mode;
use talos_replication::ids::NodeId;

use crate::settings::ConfiguredRole;

const NAME: &str = "node";
const NEW: &str = ".node.new";

/// The node file of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFile {
    path: PathBuf,
    node: Option<NodeId>,
    /// The configured role when the node was promoted.
    promoted_over: Option<String>,
}

impl NodeFile {
    /// Reads the node file of the database in `directory`. A node without the file has not started
    /// yet.
    ///
    /// # Errors
    /// The disk has failed, or the file is not a node file.
    pub fn load(directory: &Path) -> io::Result<Self> {
        let path = directory.join(NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut file = Self {
            path,
            node: None,
            promoted_over: None,
        };
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("node", id)) => file.node = Some(parse(id).ok_or_else(|| file.foreign())?),
                Some(("promoted", over)) => file.promoted_over = Some(over.to_owned()),
                _ => return Err(file.foreign()),
            }
        }
        Ok(file)
    }

    /// The mode in which to open the database for this configured role. A promotion counts while
    /// the configuration is the one that it overrode.
    #[must_use]
    pub fn mode(&self, configured_role: &ConfiguredRole) -> Mode {
        match configured_role {
            ConfiguredRole::Primary => Mode::Primary,
            ConfiguredRole::Replica { .. } if self.is_promoted_over(configured_role) => {
                Mode::Primary
            }
            ConfiguredRole::Replica { .. } => Mode::Replica,
        }
    }

    /// Whether the node was promoted over this configuration.
    #[must_use]
    pub fn is_promoted_over(&self, configured_role: &ConfiguredRole) -> bool {
        self.promoted_over.as_deref() == Some(&*configured_role.to_string())
    }

    /// The node's name. Draws and saves one if there is none.
    ///
    /// # Errors
    /// The disk has failed, or the system has no randomness.
    pub fn name(&mut self) -> io::Result<NodeId> {
        if let Some(node) = self.node {
            return Ok(node);
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        self.node = Some(NodeId(id));
        self.save()?;
        Ok(NodeId(id))
    }

    /// Records a promotion over this configuration, or with `None` that there is none.
    ///
    /// # Errors
    /// The disk has failed.
    pub fn note_promotion(&mut self, over: Option<&ConfiguredRole>) -> io::Result<()> {
        let over = over.map(ToString::to_string);
        if self.promoted_over == over {
            return Ok(());
        }
        self.promoted_over = over;
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let mut text = String::new();
        if let Some(node) = self.node {
            text += &format!("node {node}\n");
        }
        if let Some(over) = &self.promoted_over {
            text += &format!("promoted {over}\n");
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let new = directory.join(NEW);
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(directory)?.sync_all()
    }

    fn foreign(&self) -> io::Error {
        let path = self.path.display();
        let what =
            format!("{path} is not the file of a node; move it away to give the node a new name");
        io::Error::new(ErrorKind::InvalidData, what)
    }
}

fn parse(id: &str) -> Option<NodeId> {
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let id = u128::from_str_radix(id, 16).ok()?;
    Some(NodeId(id.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_name_and_its_promotion() {
        let scratch = tempfile::tempdir().unwrap();
        let replica = |primary: &str| ConfiguredRole::Replica {
            primary: primary.to_owned(),
        };
        let mut file = NodeFile::load(scratch.path()).unwrap();
        assert_eq!(file.mode(&replica("a:1")), Mode::Replica);
        let name = file.name().unwrap();
        file.note_promotion(Some(&replica("a:1"))).unwrap();
        let mut again = NodeFile::load(scratch.path()).unwrap();
        assert_eq!(again.name().unwrap(), name);
        assert_eq!(again.mode(&replica("a:1")), Mode::Primary);
        assert_eq!(again.mode(&replica("b:1")), Mode::Replica);
        assert_eq!(again.mode(&ConfiguredRole::Primary), Mode::Primary);
        again.note_promotion(None).unwrap();
        let again = NodeFile::load(scratch.path()).unwrap();
        assert_eq!(again.mode(&replica("a:1")), Mode::Replica);
    }

    #[test]
    fn a_strange_file_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        for text in [
            "node xyz\n",
            "nonsense\n",
            "node +f3a5f3a5f3a5f3a5f3a5f3a5f3a5f3\n",
        ] {
            fs::write(scratch.path().join(NAME), text).unwrap();
            let error = NodeFile::load(scratch.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{text}");
        }
    }
}
