//! What is written of the table of keys: the sample file, the reference page and the JSON Schema.
//!
//! With `TALOS_TEST_WRITE=1` the tests write the sample file and the page anew.

#![cfg(test)]

mod reference;
mod sample;
mod schema;
mod validator;

use std::fs;
use std::path::Path;

/// Compares a file of the repository with the text that it must have, or writes it.
fn compare(path: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("TALOS_TEST_WRITE").is_some() {
        fs::write(&path, wanted).expect("the file can be written");
        return;
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    let differs = text
        .lines()
        .zip(wanted.lines())
        .position(|(is, wanted)| is != wanted);
    let differs = differs.unwrap_or_else(|| text.lines().count().min(wanted.lines().count()));
    assert_eq!(
        text.lines().nth(differs),
        wanted.lines().nth(differs),
        "line {} of {} differs from the table of keys; run this test with TALOS_TEST_WRITE=1",
        differs + 1,
        path.display()
    );
    assert_eq!(text, wanted, "the ends of lines differ");
}
