//! Clients that send many requests.

use std::time::Duration;

use super::{Composer, SELF_REVOKE};
use crate::hostile::attack::Attack;
use crate::hostile::script::{Reading, Repeat, Script};

/// Different guesses of one client.
const GUESSES: usize = 8;

impl Composer {
    pub(super) fn pipelined(&mut self) -> Script {
        let mut many = Vec::new();
        for _ in 0..self.between(20, 400) {
            match self.between(0, 3) {
                0 => many.extend(self.get("/health/alive")),
                1 => many.extend(self.get("/nowhere")),
                _ => many.extend(self.verify_guess()),
            }
        }
        let mut script = Script::new(Attack::Pipelined, self.address(), many);
        script.reading = self.one_of(&[Reading::Everything, Reading::Nothing], Reading::Nothing);
        script
    }

    pub(super) fn guessing(&mut self) -> Script {
        let mut piece = Vec::new();
        for _ in 0..GUESSES {
            piece.extend(match self.between(0, 4) {
                0 => {
                    let (host, guess) = (self.prey.host.clone(), self.guess());
                    format!("GET /verify HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {guess}\r\n\r\n")
                        .into_bytes()
                }
                1 => {
                    let items: Vec<_> = (0..10)
                        .map(|_| format!(r#"{{"credential":"{}"}}"#, self.guess()))
                        .collect();
                    let body = format!(r#"{{"requests":[{}]}}"#, items.join(","));
                    self.post(super::BATCH_VERIFY, &body)
                }
                _ => self.verify_guess(),
            });
        }
        self.repeating(Attack::Guessing, piece)
    }

    pub(super) fn self_revoking(&mut self) -> Script {
        let mut piece = Vec::new();
        for _ in 0..GUESSES {
            let body = format!(r#"{{"credential":"{}"}}"#, self.guess());
            piece.extend(self.post(SELF_REVOKE, &body));
        }
        self.repeating(Attack::SelfRevoking, piece)
    }

    /// A client that sends the piece four times a second.
    fn repeating(&mut self, attack: Attack, piece: Vec<u8>) -> Script {
        let mut script = Script::new(attack, self.address(), Vec::new());
        script.then = Some(Repeat {
            piece: piece.into(),
            every: Duration::from_millis(250),
            times: u32::MAX,
        });
        script
    }
}
