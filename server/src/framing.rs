//! How a body of unknown length is sent (RFC 9112 §6.3).
//!
//! Guarantee: a client of HTTP/1.1 notices an incomplete body, because only a complete body has the
//! last chunk. HTTP/1.0 has no chunks: there the end of the connection is the end of the body.

use crate::parser::Version;

/// The framing of a streamed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Every chunk follows its length.
    Chunked,
    /// The bytes as they are, up to the end of the connection.
    UntilClose,
}

impl From<Version> for Framing {
    fn from(version: Version) -> Self {
        match version {
            Version::Http10 => Self::UntilClose,
            Version::Http11 => Self::Chunked,
        }
    }
}

impl Framing {
    /// The header field that announces the framing.
    pub(crate) const fn field(self) -> &'static [u8] {
        match self {
            Self::Chunked => b"Transfer-Encoding: chunked\r\n",
            Self::UntilClose => b"",
        }
    }

    /// Appends `part`. Ignores an empty part, because an empty chunk would end the body.
    pub(crate) fn append(self, part: &[u8], output: &mut Vec<u8>) {
        match self {
            _ if part.is_empty() => {}
            Self::Chunked => {
                output.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                output.extend_from_slice(part);
                output.extend_from_slice(b"\r\n");
            }
            Self::UntilClose => output.extend_from_slice(part),
        }
    }

    /// Appends the end of the body.
    pub(crate) fn append_end(self, output: &mut Vec<u8>) {
        if self == Self::Chunked {
            output.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_their_lengths_in_chunks_alone() {
        for (framing, wanted) in [
            (
                Framing::Chunked,
                &b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"[..],
            ),
            (Framing::UntilClose, b"abc0123456789abcdef"),
        ] {
            let mut output = Vec::new();
            for part in ["abc", "", "0123456789abcdef"] {
                framing.append(part.as_bytes(), &mut output);
            }
            framing.append_end(&mut output);
            assert_eq!(output, wanted);
        }
    }
}
