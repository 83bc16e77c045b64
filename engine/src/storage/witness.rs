//! A second record of the last acknowledged position, kept apart from RocksDB.
//!
//! RocksDB opens a database whose log has lost its tail and says nothing. The witness is written after every durable
//! group and is not synced: it never runs ahead of an honest disk, and after a crash of the process alone it is exact. If it
//! names a change that the log does not hold, acknowledged changes are gone, and the database must not be opened.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use talos_model::Position;
use xxhash_rust::xxh3::xxh3_64;

use super::format::position::{decode_position, encode_position};

const POSITION_BYTES: usize = 16;
const BYTES: usize = POSITION_BYTES + 8;

/// The open witness file.
#[derive(Debug)]
pub struct Witness {
    file: File,
}

impl Witness {
    /// Opens or makes the file and reads what it says; `None` when it says nothing, or was torn by a power cut.
    pub fn open(path: &Path) -> io::Result<(Self, Option<Position>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = [0; BYTES];
        let position = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => read(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok((Self { file }, position))
    }

    /// Notes that everything up to `position` is durable.
    pub fn note(&self, position: Position) -> io::Result<()> {
        let position = encode_position(position);
        let mut bytes = [0; BYTES];
        let parts = position
            .iter()
            .chain(&xxh3_64(&position).to_le_bytes())
            .copied()
            .collect::<Vec<_>>();
        bytes
            .iter_mut()
            .zip(parts)
            .for_each(|(to, from)| *to = from);
        self.file.write_all_at(&bytes, 0)
    }

    /// Waits until the file is on disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// What the file says, if it can be read and says anything. Nothing is written.
pub fn read_file(path: &Path) -> Option<Position> {
    let mut bytes = [0; BYTES];
    let file = File::open(path).ok()?;
    file.read_exact_at(&mut bytes, 0).ok()?;
    read(&bytes)
}

fn read(bytes: &[u8; BYTES]) -> Option<Position> {
    let (position, checksum) = bytes.split_first_chunk::<POSITION_BYTES>()?;
    (xxh3_64(position).to_le_bytes() == checksum).then(|| decode_position(position).ok())?
}

#[cfg(test)]
mod tests {
    use talos_model::{Epoch, Sequence};

    use super::*;

    #[test]
    fn remembers_the_last_note_and_distrusts_a_torn_one() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("witness");
        let position = |sequence| Position {
            epoch: Epoch(1),
            sequence: Sequence(sequence),
        };
        let (witness, nothing) = Witness::open(&path).unwrap();
        assert_eq!(nothing, None);
        witness.note(position(9)).unwrap();
        witness.note(position(10)).unwrap();
        assert_eq!(Witness::open(&path).unwrap().1, Some(position(10)));
        let mut torn = std::fs::read(&path).unwrap();
        torn[15] ^= 1;
        std::fs::write(&path, torn).unwrap();
        assert_eq!(Witness::open(&path).unwrap().1, None);
    }
}
