//! The answer to a client that speaks plain HTTP on a port that has TLS.

/// The whole answer. The client gets it as it is, because it would not understand TLS.
pub(crate) const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 66\r\n\
    Connection: close\r\n\
    \r\n\
    This port serves HTTPS only: use https:// in place of http://.\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_the_text() {
        let answer = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
    }
}
