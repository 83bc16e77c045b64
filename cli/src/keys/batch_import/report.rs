//! The report of a batch import. It consists of JSON lines: the first identifies the input, and
//! each further line is the outcome of an item that was sent.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use crate::error::CliError;

const NO_REPORT: &str = "not a report of a batch import; name a new file";

/// The file of outcomes; `None` if no report was asked for.
pub(super) struct Report(Option<Open>);

struct Open {
    file: File,
    path: String,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Head {
    /// SHA-256 of the input, in hexadecimal.
    input_sha256: String,
    items: usize,
}

impl Report {
    /// Opens or creates the report. Also returns the indexes of the items that are done.
    ///
    /// # Errors
    /// When the file is not a report of this input, or cannot be read or written.
    pub(super) fn open(
        path: Option<&Path>,
        digest: &[u8],
        items: usize,
    ) -> Result<(Self, HashSet<usize>), CliError> {
        let Some(path) = path else {
            return Ok((Self(None), HashSet::new()));
        };
        let head = Head {
            input_sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            items,
        };
        let path = path.display().to_string();
        let failed = |source| CliError::File {
            path: path.clone(),
            source,
        };
        let bad = |what: &str| CliError::BadFile {
            path: path.clone(),
            what: what.to_owned(),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        if text.is_empty() {
            append(&mut file, &[head]).map_err(failed)?;
            return Ok((Self(Some(Open { file, path })), HashSet::new()));
        }
        // A crash may have cut the last line off.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text.get(..whole).unwrap_or_default().lines();
        let found = lines
            .next()
            .and_then(|line| serde_json::from_str::<Head>(line).ok());
        match found {
            Some(found) if found == head => {}
            Some(_) => return Err(bad("a report of another input; name a new file")),
            None => return Err(bad(NO_REPORT)),
        }
        let mut done = HashSet::new();
        for line in lines {
            let outcome: Outcome = serde_json::from_str(line).map_err(|_| bad(NO_REPORT))?;
            if outcome.is_done() {
                done.insert(outcome.index);
            }
        }
        // The file is changed only now, when it is known to be a report.
        file.set_len(whole as u64)
            .and_then(|()| file.seek(SeekFrom::Start(whole as u64)))
            .map_err(failed)?;
        Ok((Self(Some(Open { file, path })), done))
    }

    /// Appends these outcomes.
    pub(super) fn append(&mut self, outcomes: &[Outcome]) -> Result<(), CliError> {
        let Some(Open { file, path }) = &mut self.0 else {
            return Ok(());
        };
        append(file, outcomes).map_err(|source| CliError::File {
            path: path.clone(),
            source,
        })
    }
}

/// Writes one JSON line for each value, all in one write.
fn append(file: &mut File, lines: &[impl Serialize]) -> io::Result<()> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    file.write_all(&text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::outcome::End;
    use super::*;

    fn outcome(index: usize, end: End) -> Outcome {
        Outcome { index, end }
    }

    #[test]
    fn what_is_done_is_known_again_and_torn_lines_are_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("report");
        let open = || Report::open(Some(&path), &[1, 2], 9);
        let (mut report, done) = open().expect("new");
        assert!(done.is_empty());
        let failed = End::Failed {
            error_code: "C".to_owned(),
            error_message: "m".to_owned(),
        };
        let imported = End::Imported {
            key_id: "k".to_owned(),
        };
        report
            .append(&[outcome(0, imported.clone()), outcome(1, failed)])
            .expect("noted");
        report.append(&[outcome(2, End::Exists)]).expect("noted");
        drop(report);
        let whole = fs::read_to_string(&path).expect("the report");
        fs::write(&path, format!("{whole}{{\"index\":3,\"outc")).expect("torn");
        let (mut report, done) = open().expect("the same");
        assert_eq!(done, HashSet::from([0, 2]));
        report.append(&[outcome(3, imported)]).expect("noted");
        let text = fs::read_to_string(&path).expect("the report");
        assert_eq!(
            text,
            whole + "{\"index\":3,\"outcome\":\"imported\",\"key_id\":\"k\"}\n"
        );
        assert_eq!(open().expect("the same").1.len(), 3);
    }

    #[test]
    fn other_files_are_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("report");
        drop(Report::open(Some(&path), &[1], 9));
        for (digest, items) in [([2], 9), ([1], 8)] {
            assert!(Report::open(Some(&path), &digest, items).is_err());
        }
        for precious in ["precious\n", "precious", "{}\nprecious"] {
            fs::write(&path, precious).expect("written");
            assert!(Report::open(Some(&path), &[1], 9).is_err());
            assert_eq!(fs::read_to_string(&path).expect("the file"), precious);
        }
        assert!(Report::open(Some(directory.path()), &[1], 9).is_err());
    }
}
