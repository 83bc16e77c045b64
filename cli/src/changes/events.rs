//! Reading server-sent events (WHATWG HTML, section 9.2.6), as far as the server sends them.

use std::io::{self, BufRead, BufReader, Read};

/// The longest line that is read, in bytes; a key with all that it may hold fits several times.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// What comes of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An event: what its `data` is, and the place after it.
    Event {
        /// The place of the client from then on.
        id: String,
        /// One line, or more.
        data: String,
    },
    /// Only the place has moved on.
    Place(String),
    /// The other side is there.
    Sign,
}

/// Takes events off a stream of bytes.
pub(super) struct Events<R> {
    lines: BufReader<R>,
}

impl<R: Read> Events<R> {
    /// Reads `stream`, from its beginning.
    pub(super) fn new(stream: R) -> Self {
        Self {
            lines: BufReader::new(stream),
        }
    }

    /// What comes next; `None` at the end. What is cut off by it is left out.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        let (mut id, mut data) = (None, None::<String>);
        loop {
            let Some(line) = self.line()? else {
                return Ok(None);
            };
            if line.is_empty() {
                return Ok(Some(match (id, data) {
                    (id, Some(data)) => Item::Event {
                        id: id.unwrap_or_default(),
                        data,
                    },
                    (Some(id), None) => Item::Place(id),
                    (None, None) => Item::Sign,
                }));
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match field {
                "id" => id = Some(value),
                "data" => {
                    data = Some(match data {
                        Some(before) => before + "\n" + &value,
                        None => value,
                    });
                }
                // The name of an event is in its data, too. What has no name is a comment.
                _ => {}
            }
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut reader = (&mut self.lines).take(LINE_BYTES_MAX);
        reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            // The end, or a line that never ends, of which no more is read.
            return Ok(None);
        }
        let line = String::from_utf8(line);
        line.map(Some)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "events that are not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Vec<Item> {
        let mut events = Events::new(text.as_bytes());
        std::iter::from_fn(|| events.next().expect("text")).collect()
    }

    #[test]
    fn events_places_and_comments_are_told_apart() {
        let text = "retry: 1000\nid: 1.0\n\n: nothing new\n\nid: 1.1\nevent: E\ndata: {\"a\":\ndata: 1}\n\nid: 1.2\ndata: cut";
        let event = Item::Event {
            id: "1.1".to_owned(),
            data: "{\"a\":\n1}".to_owned(),
        };
        assert_eq!(
            items(text),
            [Item::Place("1.0".to_owned()), Item::Sign, event]
        );
        assert_eq!(items(""), []);
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let endless = "x".repeat(usize::try_from(LINE_BYTES_MAX).expect("small") + 10);
        assert_eq!(items(&endless), []);
    }
}
