//! A second record of the last acknowledged position, kept apart from RocksDB.
//!
//! RocksDB opens a database whose log has lost its tail without an error. The witness is written
//! after every durable group and is not synced. It is never ahead of the log unless the disk lost
//! synced writes, and after a crash of the process alone it is exact. If it names a change that the
//! log does not hold, acknowledged changes are lost, and the database must not be opened.

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
    /// Opens or creates the file and reads its position; `None` when it is empty, or a power cut
    /// tore it.
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

    /// Records that everything up to `position` is durable. Not synced.
    pub fn write(&self, position: Position) -> io::Result<()> {
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

/// The position in the file; `None` when it cannot be read. Writes nothing.
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
    fn the_last_write_is_read_and_a_torn_one_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("witness");
        let position = |sequence| Position {
            epoch: Epoch(1),
            sequence: Sequence(sequence),
        };
        let (witness, empty) = Witness::open(&path).unwrap();
        assert_eq!(empty, None);
        witness.write(position(9)).unwrap();
        witness.write(position(10)).unwrap();
        assert_eq!(Witness::open(&path).unwrap().1, Some(position(10)));
        let mut torn = std::fs::read(&path).unwrap();
        torn[15] ^= 1;
        std::fs::write(&path, torn).unwrap();
        assert_eq!(Witness::open(&path).unwrap().1, None);
    }
}
