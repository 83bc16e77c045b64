//! Reads server-sent events (WHATWG HTML, section 9.2.6), as far as the server uses them.

use std::io::{self, BufRead, BufReader, Read};

/// The longest line that is read, in bytes. The largest possible key fits several times.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// An item of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An event.
    Event {
        /// The position after the event.
        id: String,
        /// Its `data`: one or more lines.
        data: String,
    },
    /// A new position without an event.
    Position(String),
    /// A comment: the server is alive.
    Heartbeat,
}

/// Parses a stream of bytes into items.
pub(super) struct Events<R> {
    lines: BufReader<R>,
}

impl<R: Read> Events<R> {
    /// A parser at the beginning of `stream`.
    pub(super) fn new(stream: R) -> Self {
        Self {
            lines: BufReader::new(stream),
        }
    }

    /// The next item; `None` at the end of the stream. An item that the end cuts off is ignored.
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
                    (Some(id), None) => Item::Position(id),
                    (None, None) => Item::Heartbeat,
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
                // The name of an event is also in its data. A field without a name is a comment.
                _ => {}
            }
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut reader = (&mut self.lines).take(LINE_BYTES_MAX);
        reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            // The end of the stream, or a line that is too long.
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
            [Item::Position("1.0".to_owned()), Item::Heartbeat, event]
        );
        assert_eq!(items(""), []);
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let endless = "x".repeat(usize::try_from(LINE_BYTES_MAX).expect("small") + 10);
        assert_eq!(items(&endless), []);
    }
}
