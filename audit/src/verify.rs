//! Verifies files of the log: every code, every number, every link to the line before.
//!
//! What a verification cannot find: that lines at the end were cut off. Keep the number and the
//! code of a last line elsewhere and demand that line. Nor can it find lines that somebody with the
//! secret made.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, Read as _};

use crate::chain::{ChainKeys, Link, Mac};
use crate::limits::{FAULTS_REPORTED, LINE_BYTES};
use crate::line::{self, ParsedLine};

/// Whether a new chain may begin after another, as it does on standard output at each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarts {
    /// It may.
    Allowed,
    /// It is a fault: a log in files goes on after a restart.
    Refused,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Bytes that are no entry, and that no later entry declares.
    #[error("no entry of the audit log")]
    NoEntry,
    /// The code does not match.
    #[error("entry {0} was altered, or somebody without the secret made it")]
    Altered(u64),
    /// The key of the code is not known.
    #[error(
        "entry {seq} was made with another secret (key {key:?}); if the secret was replaced, add the former one to secrets.hmac.retired"
    )]
    OtherSecret {
        /// Its number.
        seq: u64,
        /// The name of the key that it names.
        key: String,
    },
    /// Lines are missing before this one.
    #[error("entries {from} to {to} are missing before this one")]
    Missing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// The line has its number twice, or stands behind a later one.
    #[error("entry {seq} stands behind entry {after}: it is repeated or out of order")]
    OutOfOrder {
        /// Its number.
        seq: u64,
        /// The number of the line before.
        after: u64,
    },
    /// The line before is not the one that the server wrote before this one.
    #[error("entry {0} was not written after the entry before it: that one was replaced")]
    OtherPredecessor(u64),
    /// A new chain begins.
    #[error("a new chain begins here, although entry {0} came before")]
    NewChain(u64),
    /// Bytes that the server found when it started are gone.
    #[error("entry {0} tells of bytes before it that are not there any more")]
    TornBytesGone(u64),
    /// The demanded line has another code.
    #[error("entry {0} is not the expected one: its code is another")]
    OtherThanExpected(u64),
    /// The demanded line is not there.
    #[error("entry {0} is expected and not there: the end was cut off, or a file is missing")]
    ExpectedGone(u64),
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the file; empty if it concerns all of them.
    pub file: String,
    /// The line, from 1; 0 if it concerns the whole file.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line)?;
        self.problem.fmt(f)
    }
}

fn place(f: &mut fmt::Formatter<'_>, file: &str, line: u64) -> fmt::Result {
    match (file, line) {
        ("", _) => Ok(()),
        (file, 0) => write!(f, "{file}: "),
        (file, line) => write!(f, "{file}:{line}: "),
    }
}

/// Something that is worth knowing, and no fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The remark.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line)?;
        f.write_str(&self.text)
    }
}

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines whose codes are right.
    pub entries: u64,
    /// The number and the time of the first of them.
    pub first: Option<(u64, String)>,
    /// The place and the time of the last of them.
    pub last: Option<(Link, String)>,
    /// The nodes that wrote them.
    pub nodes: BTreeSet<String>,
    /// What is wrong, at most some hundred.
    pub faults: Vec<Fault>,
    /// Further faults.
    pub more_faults: u64,
    /// What is worth knowing, at most some hundred.
    pub remarks: Vec<Remark>,
}

/// What the next line must follow.
#[derive(Clone, Copy, Debug)]
struct Before {
    link: Link,
    /// Whether the code of that line is certain. It is not if the line was altered.
    is_certain: bool,
}

/// Bytes since the last line that are no entry.
#[derive(Clone, Debug)]
struct Skipped {
    file: String,
    line: u64,
    bytes: u64,
    /// Whether it is more than the beginning of one line.
    has_line_feed: bool,
}

/// Verifies one file after the other.
#[derive(Debug)]
pub struct Verifier<'a> {
    keys: &'a ChainKeys,
    restarts: Restarts,
    expected: Option<Link>,
    is_expected_seen: bool,
    before: Option<Before>,
    skipped: Option<Skipped>,
    report: Report,
}

impl<'a> Verifier<'a> {
    /// A verification that demands the line `expected`, if there is one.
    #[must_use]
    pub fn new(keys: &'a ChainKeys, restarts: Restarts, expected: Option<Link>) -> Self {
        Self {
            keys,
            restarts,
            expected,
            is_expected_seen: false,
            before: None,
            skipped: None,
            report: Report::default(),
        }
    }

    /// Verifies the next file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(&mut self, name: &str, mut input: impl BufRead) -> io::Result<()> {
        self.refuse_skipped();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if read_line(&mut input, &mut line)? == 0 {
                break;
            }
            self.line(name, number, &line);
        }
        Ok(())
    }

    /// The result, after the last file.
    #[must_use]
    pub fn finish(mut self) -> Report {
        match self.skipped.take() {
            Some(skipped) if skipped.has_line_feed => {
                self.fault(&skipped.file, skipped.line, Problem::NoEntry);
            }
            Some(skipped) => self.remark(
                &skipped.file,
                skipped.line,
                "the last line is not complete: it is being written, or the server crashed"
                    .to_owned(),
            ),
            None => {}
        }
        if let Some(expected) = self.expected
            && !self.is_expected_seen
        {
            self.fault("", 0, Problem::ExpectedGone(expected.seq));
        }
        self.report
    }

    /// Bytes that are no entry stand in the middle.
    fn refuse_skipped(&mut self) {
        if let Some(skipped) = self.skipped.take() {
            self.fault(&skipped.file, skipped.line, Problem::NoEntry);
        }
    }

    fn line(&mut self, file: &str, number: u64, line: &[u8]) {
        let whole = line.strip_suffix(b"\n");
        let Some(parsed) = whole.and_then(line::parse) else {
            let skipped = self.skipped.get_or_insert_with(|| Skipped {
                file: file.to_owned(),
                line: number,
                bytes: 0,
                has_line_feed: false,
            });
            skipped.bytes += line.len() as u64;
            skipped.has_line_feed |= whole.is_some();
            return;
        };
        let seq = parsed.members.seq;
        let Some(key) = self.keys.find(&parsed.members.key) else {
            let key = parsed.members.key.clone();
            self.fault(file, number, Problem::OtherSecret { seq, key });
            return self.doubt();
        };
        if !key.made(parsed.mac, parsed.signed) {
            self.fault(file, number, Problem::Altered(seq));
            return self.doubt();
        }
        self.gap(file, number, &parsed);
        self.chain(file, number, &parsed);
        self.count(file, number, parsed);
    }

    /// The line is not what the server wrote. The next one may follow any line in its place.
    fn doubt(&mut self) {
        self.refuse_skipped();
        if let Some(before) = &mut self.before {
            before.link.seq += 1;
            before.is_certain = false;
        }
    }

    /// Compares what stands before the line with what it tells of it.
    fn gap(&mut self, file: &str, number: u64, parsed: &ParsedLine<'_>) {
        let found = self.skipped.as_ref().map(|skipped| skipped.bytes);
        match (found, parsed.members.torn_bytes) {
            (None, None) => {}
            (Some(found), Some(told)) if found == told => {
                self.skipped = None;
                let text = format!(
                    "the server found {told} bytes of an entry that was not finished when it started"
                );
                self.remark(file, number, text);
            }
            (Some(_), _) => self.refuse_skipped(),
            (None, Some(_)) => {
                self.fault(file, number, Problem::TornBytesGone(parsed.members.seq));
            }
        }
    }

    fn chain(&mut self, file: &str, number: u64, parsed: &ParsedLine<'_>) {
        let seq = parsed.members.seq;
        let prev = Mac::parse(&parsed.members.prev);
        let next = Before {
            link: parsed.link(),
            is_certain: true,
        };
        let is_start = seq == Link::START.seq + 1 && prev == Some(Link::START.mac);
        let Some(before) = self.before else {
            if seq > 1 {
                let text = format!("the log begins with entry {seq}; earlier ones are not here");
                self.remark(file, number, text);
            } else if !is_start {
                self.fault(file, number, Problem::OtherPredecessor(seq));
            }
            self.before = Some(next);
            return;
        };
        let (last, wanted) = (before.link.seq, before.link.seq.saturating_add(1));
        if is_start {
            if self.restarts == Restarts::Allowed {
                self.remark(file, number, "a new chain begins".to_owned());
            } else {
                self.fault(file, number, Problem::NewChain(last));
            }
        } else if seq < wanted {
            let after = last;
            // The line before stays the one to follow.
            return self.fault(file, number, Problem::OutOfOrder { seq, after });
        } else if seq > wanted {
            let (from, to) = (wanted, seq - 1);
            self.fault(file, number, Problem::Missing { from, to });
        } else if before.is_certain && prev != Some(before.link.mac) {
            self.fault(file, number, Problem::OtherPredecessor(seq));
        }
        self.before = Some(next);
    }

    fn count(&mut self, file: &str, number: u64, parsed: ParsedLine<'_>) {
        let link = parsed.link();
        let members = parsed.members;
        if members.missing > 0 {
            let text = format!(
                "{} entries were not taken before this one: the log could not be written, or its queue was full",
                members.missing
            );
            self.remark(file, number, text);
        }
        if let Some(expected) = self.expected.filter(|expected| expected.seq == link.seq) {
            self.is_expected_seen = true;
            if expected.mac != link.mac {
                self.fault(file, number, Problem::OtherThanExpected(link.seq));
            }
        }
        self.report.entries += 1;
        if self.report.nodes.len() < FAULTS_REPORTED {
            self.report.nodes.insert(members.node);
        }
        if self.report.first.is_none() {
            self.report.first = Some((link.seq, members.time.clone()));
        }
        self.report.last = Some((link, members.time));
    }

    fn fault(&mut self, file: &str, line: u64, problem: Problem) {
        if self.report.faults.len() >= FAULTS_REPORTED {
            self.report.more_faults += 1;
            return;
        }
        self.report.faults.push(Fault {
            file: file.to_owned(),
            line,
            problem,
        });
    }

    fn remark(&mut self, file: &str, line: u64, text: String) {
        if self.report.remarks.len() < FAULTS_REPORTED {
            self.report.remarks.push(Remark {
                file: file.to_owned(),
                line,
                text,
            });
        }
    }
}

/// Reads a line with its line feed, or the part of a longer one that is just too long for an entry.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    input.take(LINE_BYTES as u64 + 1).read_until(b'\n', line)
}

/// The number of the first entry of a file, by which files are put into order. It is not verified.
///
/// # Errors
/// When the file cannot be read.
pub fn first_number(mut input: impl BufRead) -> io::Result<Option<u64>> {
    let mut line = Vec::new();
    // A crash leaves at most a line before it.
    for _ in 0..2 {
        line.clear();
        read_line(&mut input, &mut line)?;
        if let Some(parsed) = line.strip_suffix(b"\n").and_then(line::parse) {
            return Ok(Some(parsed.members.seq));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
