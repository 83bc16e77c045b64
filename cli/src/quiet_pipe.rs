//! Standard output of a command whose reader may leave early, as `head` does.

use std::io::{self, ErrorKind, Write};

/// A writer that drops everything after its reader has gone. The command goes on as if all had been
/// read, so it says nothing, and its exit code means what it always means: `keys verify` of a
/// credential that is not valid fails with every reader.
pub(crate) struct QuietPipe<W> {
    out: W,
    reader: Reader,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Present,
    Gone,
}

impl<W: Write> QuietPipe<W> {
    /// Writes to `out`.
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            reader: Reader::Present,
        }
    }

    /// The result of `write`; `dropped` if nothing reads any more.
    fn unless_gone<T>(
        &mut self,
        dropped: T,
        write: impl FnOnce(&mut W) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.reader == Reader::Gone {
            return Ok(dropped);
        }
        match write(&mut self.out) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.reader = Reader::Gone;
                Ok(dropped)
            }
            written => written,
        }
    }
}

impl<W: Write> Write for QuietPipe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_gone(bytes.len(), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_gone((), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `left` bytes and then fails.
    struct Failing {
        left: usize,
        kind: ErrorKind,
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = self.left.min(bytes.len());
            self.left -= taken;
            if taken == 0 {
                return Err(self.kind.into());
            }
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            if self.left == 0 {
                return Err(self.kind.into());
            }
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_that_has_gone_is_no_failure() {
        for left in [0, 1, 5] {
            let kind = ErrorKind::BrokenPipe;
            let mut gone = QuietPipe::new(Failing { left, kind });
            for _ in 0..3 {
                gone.write_all(b"abcdef").expect("dropped");
                gone.flush().expect("dropped");
            }
            let kind = ErrorKind::StorageFull;
            let mut full = QuietPipe::new(Failing { left, kind });
            let error = full.write_all(b"abcdef").expect_err("not written");
            assert_eq!(error.kind(), kind);
        }
    }
}
