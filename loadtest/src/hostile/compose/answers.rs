//! Clients that want large answers, or send too much.

use std::time::Duration;

use super::{BATCH_VERIFY, Composer, ISSUED, VERIFY};
use crate::hostile::attack::Attack;
use crate::hostile::script::{Reading, Repeat, Script};

/// Requests whose answers are not read, on one connection. The kernel's own buffers take the first
/// few megabytes.
const UNREAD_REQUESTS: usize = 4;

impl Composer {
    /// A batch of verifications of keys with large metadata.
    pub(super) fn batch_of_heavy(&self) -> Vec<u8> {
        let items: Vec<_> = self
            .prey
            .heavy
            .iter()
            .cycle()
            .take(100)
            .map(|credential| format!(r#"{{"credential":"{credential}"}}"#))
            .collect();
        self.post(
            BATCH_VERIFY,
            &format!(r#"{{"requests":[{}]}}"#, items.join(",")),
        )
    }

    pub(super) fn unread(&mut self) -> Script {
        let request = match self.between(0, 3) {
            0 => self.get_as_administrator(&format!("{ISSUED}?page_size=1000")),
            1 => self.get_as_administrator("/v2alpha1/admin/changes?after=0"),
            2 => self.get("/openapi.json"),
            _ => self.batch_of_heavy(),
        };
        let opening = request.repeat(UNREAD_REQUESTS);
        let mut script = Script::new(Attack::Unread, self.address(), opening);
        script.reading = Reading::Nothing;
        script
    }

    pub(super) fn oversized(&mut self) -> Script {
        let host = self.prey.host.clone();
        let long = |length: usize| "a".repeat(length);
        let (opening, endless) = match self.between(0, 7) {
            0 => {
                let length = self.between(17, 200) << 10;
                let head = format!("GET /version HTTP/1.1\r\nHost: {host}\r\nX-Long: ");
                ((head + &long(length) + "\r\n\r\n").into_bytes(), false)
            }
            1 => {
                let count = self.between(65, 2_000);
                let head = format!("GET /version HTTP/1.1\r\nHost: {host}\r\n");
                (
                    (head + &"X: y\r\n".repeat(count) + "\r\n").into_bytes(),
                    false,
                )
            }
            2 => {
                let length = self.between(9, 64) << 10;
                (self.get(&format!("/{}", long(length))), false)
            }
            3 => {
                let length = self.one_of(&["10737418240", "18446744073709551617", "1048577"], "");
                let head = format!(
                    "POST {VERIFY} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
                );
                (head.into_bytes(), true)
            }
            4 => {
                let items = r#"{"credential":"x"},"#.repeat(self.between(101, 5_000));
                let body = format!(r#"{{"requests":[{items}{{}}]}}"#);
                (self.post(BATCH_VERIFY, &body), false)
            }
            5 => {
                let depth = self.between(33, 100_000);
                (
                    self.post(
                        VERIFY,
                        &(r#"{"credential":"#.to_owned() + &"[".repeat(depth)),
                    ),
                    false,
                )
            }
            6 => {
                let length = self.between(8_193, 900_000);
                let body = format!(r#"{{"credential":"{}"}}"#, long(length));
                (self.post(VERIFY, &body), false)
            }
            _ => {
                // One head of many pieces, which comes slowly enough to be read piece by piece.
                let head = format!("GET /version HTTP/1.1\r\nHost: {host}\r\nX-Long: ");
                (head.into_bytes(), true)
            }
        };
        let mut script = Script::new(Attack::Oversized, self.address(), opening);
        if endless {
            script.then = Some(Repeat {
                piece: long(16 << 10).into_bytes().into(),
                every: Duration::from_millis(20),
                times: 1_000,
            });
        }
        script
    }
}
