//! `talos man DIRECTORY`: the manual, one page for each command.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_mangen::Man;

use crate::error::CliError;

/// The pages hold no secret, and a manual is for every user of the machine.
const PAGE_MODE: u32 = 0o644;

/// `talos man`.
#[derive(Debug, Args)]
pub(crate) struct ManCommand {
    /// Where to write the pages, such as ~/.local/share/man/man1; created if it does not exist
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

impl ManCommand {
    /// Writes the pages. `commands` is the definition of the command line.
    pub(crate) fn run(&self, commands: clap::Command) -> Result<(), CliError> {
        fs::create_dir_all(&self.directory).map_err(|source| failed(&self.directory, source))?;
        // A page about `help` of every command would say nothing new.
        let mut commands = commands.disable_help_subcommand(true);
        commands.build();
        write_pages(commands, &self.directory)
    }
}

/// Writes the page of `command`, and those of the commands below it.
fn write_pages(command: clap::Command, directory: &Path) -> Result<(), CliError> {
    for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        write_pages(below.clone(), directory)?;
    }
    let page = Man::new(command);
    let path = directory.join(page.get_filename());
    let mut text = Vec::new();
    page.render(&mut text)
        .and_then(|()| fs::write(&path, &text))
        .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(PAGE_MODE)))
        .map_err(|source| failed(&path, source))
}

fn failed(path: &Path, source: io::Error) -> CliError {
    CliError::File {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn every_command_has_a_page_that_others_can_read() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("share/man1");
        let command = ManCommand { directory };
        command.run(Arguments::command()).expect("written");
        for (page, word) in [
            ("talos.1", "talos\\-keys(1)"),
            ("talos-serve.1", "dev"),
            ("talos-keys-issued-list.1", "page\\-token"),
            ("talos-admin-token-create.1", "role"),
        ] {
            let path = command.directory.join(page);
            let text = fs::read_to_string(&path).expect(page);
            assert!(text.contains(word), "{page}: {text}");
            let mode = fs::metadata(&path).expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, PAGE_MODE, "{page}");
        }
        assert!(!command.directory.join("talos-help.1").exists());
        // A second run replaces the pages; a file in the place of the directory is an error.
        command.run(Arguments::command()).expect("written again");
        let file = ManCommand {
            directory: command.directory.join("talos.1"),
        };
        let error = file.run(Arguments::command()).expect_err("no directory");
        assert!(error.to_string().contains("talos.1"), "{error}");
    }
}
