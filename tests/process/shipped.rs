//! The program that is shipped: without symbols, with a link to its debug information.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::TALOS;
use crate::harness::cli::run;

fn split(directory: &Path) -> (PathBuf, PathBuf) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/split-debug");
    let mut command = Command::new(script);
    command.arg(TALOS).arg(directory);
    run(command).succeeded();
    (directory.join("talos"), directory.join("talos.debug"))
}

/// The names of the sections of a program.
fn sections(program: &Path) -> String {
    let mut command = Command::new("readelf");
    command.args(["--sections", "--wide"]).arg(program);
    run(command).succeeded().to_owned()
}

#[test]
fn it_has_no_symbols_and_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (program, debug) = split(&directory.path().join("ship"));
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(size(&program) < size(Path::new(TALOS)));
    let shipped = sections(&program);
    assert!(shipped.contains(".gnu_debuglink"), "{shipped}");
    assert!(
        !shipped.contains(".symtab") && !shipped.contains(".debug_info"),
        "{shipped}"
    );
    assert!(sections(&debug).contains(".symtab"), "{debug:?}");
    let mut version = Command::new(&program);
    version.arg("--version");
    assert!(run(version).succeeded().starts_with("talos "));
    // Nothing else is left behind.
    assert_eq!(
        std::fs::read_dir(directory.path().join("ship"))
            .unwrap()
            .count(),
        2
    );
}

#[test]
fn misuse_is_explained() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/split-debug");
    let refused = run(Command::new(&script));
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("usage:"), "{refused:?}");
    let mut command = Command::new(script);
    let directory = tempfile::tempdir().unwrap();
    command.arg("/nowhere/talos").arg(directory.path());
    assert_ne!(run(command).code, Some(0));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
