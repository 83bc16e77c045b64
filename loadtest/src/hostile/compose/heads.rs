//! Clients that send nothing, a head slowly, or hang up.

use super::Composer;
use crate::hostile::attack::Attack;
use crate::hostile::script::{Ending, Pace, Reading, Script};

impl Composer {
    pub(super) fn silent(&mut self) -> Script {
        let opening = match self.between(0, 3) {
            // Silent after an answer.
            0 => self.get("/health/alive"),
            1 => b"\r\n".to_vec(),
            _ => Vec::new(),
        };
        Script::new(Attack::Silent, self.address(), opening)
    }

    pub(super) fn slow_head(&mut self) -> Script {
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\n",
            super::VERIFY,
            self.prey.host
        );
        for number in 0..self.between(1, 60) {
            let length = self.between(1, 200);
            head += &format!("X-Slow-{number}: {}\r\n", self.letters(length));
        }
        let mut script = Script::new(Attack::SlowHead, self.address(), head.into_bytes());
        // Either a byte at a time, or all but the end at once and then a byte at a time.
        script.pace = if self.between(0, 1) == 0 {
            let millis = self.between(50, 900);
            Pace::slow(1, u64::try_from(millis).unwrap_or(50))
        } else {
            Pace::slow(self.between(64, 2048), 700)
        };
        script
    }

    pub(super) fn hang_up(&mut self) -> Script {
        let whole = self.verify_guess();
        let part = self.between(0, whole.len());
        let opening = match self.between(0, 2) {
            0 => Vec::new(),
            1 => whole.get(..part).unwrap_or_default().to_vec(),
            _ => whole,
        };
        let mut script = Script::new(Attack::HangUp, self.address(), opening);
        script.ending = self.one_of(&[Ending::Close, Ending::Reset], Ending::Close);
        script.reading = Reading::Nothing;
        script
    }
}
