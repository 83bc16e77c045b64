//! Opens the database of a server's configuration while no server uses it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use talos_config::Warning;
use talos_engine::{Engine, OpenError};
use talos_model::Mode;

use super::development::{self, Development};
use super::fleet::Plan;
use crate::error::CliError;

/// An open database. No server can open it meanwhile.
pub(crate) struct Database {
    /// The engine, which takes commands.
    pub(crate) engine: Arc<Engine>,
    /// Where the database is.
    pub(crate) directory: PathBuf,
}

/// Opens the database that `talos serve` would use with this configuration, or with `--dev`, and
/// creates it if there is none. Writes warnings about the configuration to `remarks`.
///
/// # Errors
/// [`CliError::DatabaseInUse`] when a server runs on it. [`CliError::ReplicaDatabase`] when it
/// takes no commands. [`CliError::OtherOwner`] when it belongs to another user, who could not open
/// it any more.
pub(crate) fn open(
    config: Option<&Path>,
    dev: bool,
    remarks: &mut dyn Write,
) -> Result<Database, CliError> {
    let development = if dev {
        Some(Development::prepare(Path::new(development::DIRECTORY))?)
    } else {
        None
    };
    let (settings, warnings) = super::source::load(config, development.as_ref())?;
    for Warning { key, message } in warnings {
        // A warning that cannot be written does not stop the command.
        let _ = writeln!(remarks, "talos: {key}: {message}");
    }
    let directory = settings.db.directory.clone();
    check_owner(&directory)?;
    // No connection is made, so nothing follows the files of certificates.
    let plan = Plan::of(&settings)?;
    if plan.is_some_and(|plan| plan.mode() == Mode::Replica) {
        return Err(CliError::ReplicaDatabase(directory));
    }
    let opened = Engine::open_as(super::options::of_engine(&settings), Mode::Primary);
    let engine = opened.map_err(|error| match error {
        OpenError::InUse { path } => CliError::DatabaseInUse(path),
        OpenError::Replica { path, .. } => CliError::ReplicaDatabase(path),
        error => CliError::Open(error),
    })?;
    Ok(Database { engine, directory })
}

impl Database {
    /// Closes the database. Everything that was acknowledged is on disk.
    pub(crate) fn close(&self) {
        self.engine.shutdown();
        self.engine.leak_cells();
    }
}

/// Files that root creates in the database of another user would keep that user out of it.
fn check_owner(directory: &Path) -> Result<(), CliError> {
    let failed = |source: io::Error| CliError::File {
        path: directory.display().to_string(),
        source,
    };
    let owner = match fs::metadata(directory) {
        Ok(metadata) => metadata.uid(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let user = rustix::process::geteuid().as_raw();
    if owner == user {
        return Ok(());
    }
    Err(CliError::OtherOwner {
        path: directory.to_owned(),
        owner,
        user,
    })
}
