//! Finds where the chain goes on after a restart: the last whole line of the log, and how many
//! bytes a crash has left behind it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::chain::{ChainKeys, Link};
use crate::limits::{LINE_BYTES, TAIL_BYTES};
use crate::line;

/// How every line begins.
const START: &[u8] = b"{\"seq\":";

/// The end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Its last whole line; `None` if it has none.
    pub last: Option<Link>,
    /// Bytes behind that line.
    pub torn: u64,
    /// Whether these bytes do not end with a line feed.
    pub is_open: bool,
}

/// Why a file cannot be continued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its last line has been altered.
    #[error("entry {0} was altered")]
    Altered(u64),
    /// Its last line was made with a secret that is not configured.
    #[error("entry {0} was made with another secret")]
    OtherSecret(u64),
    /// It is no audit log.
    #[error("it holds something else than an audit log")]
    Foreign,
}

/// Reads the end of `file`.
pub(crate) fn tail(file: &File, keys: &ChainKeys) -> Result<Tail, TailError> {
    let size = file.metadata()?.len();
    let start = size.saturating_sub(TAIL_BYTES);
    let mut window = vec![0; usize::try_from(size - start).unwrap_or_default()];
    file.read_exact_at(&mut window, start)?;
    let is_open = window.last().is_some_and(|byte| *byte != b'\n');
    let mut end = window.len();
    // From the last line that has a line feed to the first.
    while let Some(feed) = window
        .get(..end)
        .and_then(|before| before.iter().rposition(|byte| *byte == b'\n'))
    {
        let before = window.get(..feed).unwrap_or_default();
        let from = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |previous| previous + 1);
        if let Some(parsed) = line::parse(before.get(from..).unwrap_or_default()) {
            let seq = parsed.members.seq;
            let key = keys.find(&parsed.members.key);
            let key = key.ok_or(TailError::OtherSecret(seq))?;
            if !key.made(parsed.mac, parsed.signed) {
                return Err(TailError::Altered(seq));
            }
            return Ok(Tail {
                last: Some(parsed.link()),
                torn: (window.len() - feed - 1) as u64,
                is_open,
            });
        }
        end = feed;
    }
    // No whole line. After a crash at the first line, only that line is there.
    let is_torn_line = size <= LINE_BYTES as u64
        && (START.starts_with(&window)
            || window.starts_with(START)
            || window.iter().all(|byte| *byte == 0));
    if !is_torn_line {
        return Err(TailError::Foreign);
    }
    Ok(Tail {
        last: None,
        torn: size,
        is_open,
    })
}
