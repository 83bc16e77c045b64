//! Clients that play with bodies.

use std::time::Duration;

use super::{BATCH_VERIFY, Composer, IMPORT, VERIFY};
use crate::hostile::attack::Attack;
use crate::hostile::script::{Ending, Pace, Reading, Repeat, Script};

/// The largest bodies that the server accepts: of a batch import, and of everything else.
const LARGEST: usize = 8 << 20;
const LARGE: usize = 1 << 20;
const CHUNKED: &str = "Transfer-Encoding: chunked";

impl Composer {
    /// A head for a JSON body that is announced by this field.
    fn announcing(&self, path: &str, announcement: &str) -> Vec<u8> {
        let host = &self.prey.host;
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{announcement}\r\n\r\n"
        )
        .into_bytes()
    }

    /// A path and the largest body that the server accepts for it.
    fn path_for_bodies(&mut self) -> (&'static str, usize) {
        let paths = [(IMPORT, LARGEST), (VERIFY, LARGE), (BATCH_VERIFY, LARGE)];
        self.one_of(&paths, (VERIFY, LARGE))
    }

    pub(super) fn slow_body(&mut self) -> Script {
        let (path, most) = self.path_for_bodies();
        let framing = if self.between(0, 2) == 0 {
            CHUNKED.to_owned()
        } else {
            format!("Content-Length: {}", self.between(1_000, most))
        };
        let mut opening = self.announcing(path, &framing);
        // A chunk of the largest size that a body may have. For a plain body it is bad JSON, which
        // nobody reads before the body's end.
        opening.extend_from_slice(format!("{:x}\r\n", most - 16).as_bytes());
        let sent_at_once = self.one_of(&[0, 0, 100, 60_000, 900_000], 0);
        opening.resize(opening.len() + sent_at_once, b' ');
        let mut script = Script::new(Attack::SlowBody, self.address(), opening);
        script.then = Some(Repeat {
            piece: b" ".as_slice().into(),
            every: Duration::from_millis(self.one_of(&[100, 500, 3_000], 100)),
            times: u32::MAX,
        });
        script
    }

    pub(super) fn half_closed(&mut self) -> Script {
        let whole = match self.between(0, 3) {
            0 => self.get("/openapi.json"),
            1 => self.batch_of_heavy(),
            _ => self.verify_guess(),
        };
        let sent = if self.between(0, 1) == 0 {
            whole.len()
        } else {
            self.between(0, whole.len())
        };
        let opening = whole.get(..sent).unwrap_or_default().to_vec();
        let mut script = Script::new(Attack::HalfClosed, self.address(), opening);
        script.ending = Ending::HalfClose;
        script.reading = self.one_of(&[Reading::Everything, Reading::Nothing], Reading::Nothing);
        script
    }

    pub(super) fn endless(&mut self) -> Script {
        let (path, _) = self.path_for_bodies();
        let mut opening = self.announcing(path, CHUNKED);
        let (begin, piece): (&[u8], Vec<u8>) = match self.between(0, 4) {
            0 => (b"", b"1\r\n \r\n".to_vec()),
            1 => (b"1;x=", b"y".to_vec()),
            2 => (b"", b"0".to_vec()),
            3 => (b"1\r\n \r\n0\r\n", b"X-Trailer: 1\r\n".to_vec()),
            // Chunks of one byte, as many as fit.
            _ => (b"", b"1\r\n \r\n".repeat(500)),
        };
        opening.extend_from_slice(begin);
        let mut script = Script::new(Attack::Endless, self.address(), opening);
        script.then = Some(Repeat {
            piece: piece.into(),
            every: Duration::from_millis(self.one_of(&[20, 100, 1_000], 100)),
            times: u32::MAX,
        });
        script
    }

    pub(super) fn leftover(&mut self) -> Script {
        let (path, most) = self.path_for_bodies();
        let length = self.one_of(&[most, most, most / 2], most);
        let mut opening = self.announcing(path, &format!("Content-Length: {length}"));
        opening.resize(opening.len() + length, b' ');
        opening.push(b'G');
        let mut script = Script::new(Attack::Leftover, self.address(), opening);
        let next = format!(
            "ET /health/alive HTTP/1.1\r\nHost: {}\r\n\r\nG",
            self.prey.host
        );
        script.then = Some(Repeat {
            piece: next.into_bytes().into(),
            every: Duration::from_secs(1),
            times: u32::MAX,
        });
        script
    }

    pub(super) fn expecting(&mut self) -> Script {
        let body = format!(r#"{{"credential":"{}"}}"#, self.guess());
        let length = self.one_of(&[body.len(), body.len(), LARGE, LARGEST * 2], body.len());
        let expect = self.one_of(
            &["100-continue", "100-Continue", "200-ok", ""],
            "100-continue",
        );
        let announced = format!("Expect: {expect}\r\nContent-Length: {length}");
        let mut opening = self.announcing(VERIFY, &announced);
        match self.between(0, 2) {
            // The body comes without waiting.
            0 => opening.extend_from_slice(body.as_bytes()),
            // Instead of the body comes another request.
            1 => opening.extend(self.get("/health/alive")),
            _ => {}
        }
        let mut script = Script::new(Attack::Expecting, self.address(), opening);
        if self.between(0, 1) == 0 {
            script.pace = Pace::slow(40, 100);
        }
        script
    }
}
