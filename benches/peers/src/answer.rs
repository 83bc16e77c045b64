//! Finds the end of an answer and compares it, for any protocol whose answers are known beforehand.
//!
//! The bytes of the answer are known, so no protocol has to be parsed. An answer begins with the
//! first bytes of its protocol (`HTTP/1.1 200`, or `$350` and a line end), and is complete when the
//! expected last bytes have arrived. All of it is compared but the header fields of an HTTP answer.

/// The longest header fields of an HTTP answer, between the expected first and last bytes.
const BETWEEN_BYTES_MAX: usize = 2048;

/// The expected answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    begins: Vec<u8>,
    ends: Vec<u8>,
}

/// The result of comparing the bytes received so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The whole right answer.
    Complete,
    /// Right so far.
    Incomplete,
    /// Another answer.
    Wrong,
}

impl Expected {
    /// Expects answers that begin and end with these bytes. An empty end fits every answer.
    #[must_use]
    pub fn new(begins: impl Into<Vec<u8>>, ends: impl Into<Vec<u8>>) -> Self {
        Self {
            begins: begins.into(),
            ends: ends.into(),
        }
    }

    /// The length of the longest answer.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.begins.len() + BETWEEN_BYTES_MAX + self.ends.len()
    }

    /// Compares the bytes that have arrived since the request was sent.
    #[must_use]
    pub fn judge(&self, received: &[u8]) -> Judgement {
        let rest = match received.strip_prefix(&*self.begins) {
            Some(rest) => rest,
            None if self.begins.starts_with(received) => return Judgement::Incomplete,
            None => return Judgement::Wrong,
        };
        if rest.ends_with(&self.ends) {
            Judgement::Complete
        } else if received.len() < self.bytes_max() {
            Judgement::Incomplete
        } else {
            Judgement::Wrong
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_at_its_last_byte_and_not_before() {
        let expected = Expected::new("HTTP/1.1 200", "\r\n\r\n{\"is_valid\":true}");
        let answer = b"HTTP/1.1 200 OK\r\nDate: today\r\n\r\n{\"is_valid\":true}";
        for length in 0..answer.len() {
            assert_eq!(
                expected.judge(&answer[..length]),
                Judgement::Incomplete,
                "{length}"
            );
        }
        assert_eq!(expected.judge(answer), Judgement::Complete);
    }

    #[test]
    fn another_answer_is_wrong() {
        let expected = Expected::new("HTTP/1.1 200", "\r\n\r\n{\"is_valid\":true}");
        assert_eq!(expected.judge(b"HTTP/1.1 5"), Judgement::Wrong);
        let mut other = b"HTTP/1.1 200 OK\r\n\r\n{\"is_valid\":false}".to_vec();
        assert_eq!(
            expected.judge(&other),
            Judgement::Incomplete,
            "its end may still come"
        );
        other.resize(expected.bytes_max(), b' ');
        assert_eq!(expected.judge(&other), Judgement::Wrong);
    }

    #[test]
    fn a_line_end_in_the_length_of_redis_is_not_the_end() {
        let expected = Expected::new("$4\r\n", "body\r\n");
        assert_eq!(expected.judge(b"$4\r\n"), Judgement::Incomplete);
        assert_eq!(expected.judge(b"$4\r\nbody\r\n"), Judgement::Complete);
        assert_eq!(expected.judge(b"$-1\r\n"), Judgement::Wrong);
    }
}
