//! Copies the files of an open database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Copies `from` to `to` as it was at one moment. Starts again whenever RocksDB changed files in
/// the background.
pub(in crate::scenarios) fn copy_of_one_moment(from: &Path, to: &Path) {
    loop {
        let before = sizes(from);
        let copied = before.keys().try_for_each(|name| {
            let target = to.join(name);
            fs::create_dir_all(target.parent().expect("a directory"))?;
            fs::copy(from.join(name), target).map(drop)
        });
        if copied.is_ok() && sizes(from) == before {
            return;
        }
        fs::remove_dir_all(to).expect("a copy that can go");
    }
}

/// The files below `root` with their sizes, except RocksDB's info log, which is no part of the
/// database.
fn sizes(root: &Path) -> BTreeMap<PathBuf, u64> {
    let (mut sizes, mut waiting) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            // A file that disappears now is missing in the second listing.
            let Ok(about) = path.metadata() else { continue };
            let name = path.strip_prefix(root).expect("below the root").to_owned();
            if about.is_dir() {
                waiting.push(path);
            } else if !name.to_string_lossy().contains("LOG") {
                sizes.insert(name, about.len());
            }
        }
    }
    sizes
}
