//! Handshakes and records of TLS that no server should wait for or believe.

use std::sync::Arc;
use std::time::Duration;

use super::Composer;
use crate::hostile::attack::Attack;
use crate::hostile::script::{Layer, Pace, Reading, Repeat, Script};

/// Records that mean little and are sent again and again: an alert, a change of ciphers, an empty
/// handshake message, empty data, and a heartbeat that says it is longer than it is.
const RECORDS: [&[u8]; 5] = [
    b"\x15\x03\x03\0\x02\x01\x5a",
    b"\x14\x03\x03\0\x01\x01",
    b"\x16\x03\x03\0\0",
    b"\x17\x03\x03\0\0",
    b"\x18\x03\x03\0\x03\x01\x40\0",
];

impl Composer {
    pub(super) fn stalled_handshake(&mut self) -> Script {
        let hello = self.prey.hello.clone();
        let part = self.between(1, hello.len().max(1));
        let opening = match self.between(0, 3) {
            0 => hello.get(..part).unwrap_or_default().to_vec(),
            _ => hello,
        };
        let mut script = Script::new(Attack::StalledHandshake, self.address(), opening);
        match self.between(0, 3) {
            0 => {
                let millis = self.between(20, 900);
                script.pace = Pace::slow(1, u64::try_from(millis).unwrap_or(20));
            }
            1 => script.reading = Reading::Nothing,
            _ => {}
        }
        script
    }

    pub(super) fn broken_records(&mut self) -> Script {
        let hello = self.prey.hello.clone();
        let mut script = Script::new(Attack::BrokenRecords, self.address(), &[][..]);
        match self.between(0, 5) {
            0 => {
                let mut damaged = hello;
                for _ in 0..self.between(1, 8) {
                    self.damage(&mut damaged);
                }
                script.opening = damaged.into();
            }
            // The handshake begins a second time.
            1 => script.opening = [hello.as_slice(), &hello].concat().into(),
            // A record of a byte for each byte.
            2 => {
                let message = hello.get(5..).unwrap_or_default().iter();
                let records = message.flat_map(|byte| [0x16, 3, 1, 0, 1, *byte]);
                script.opening = records.collect();
            }
            // A record of the greatest length, or longer.
            3 => {
                let kind = self.one_of(&[0x14, 0x15, 0x16, 0x17, 0x80, 0xff], 0x16);
                let length = self.one_of(&[0x3f_u8, 0x41, 0xff], 0xff);
                let letters = self.between(1, 20_000);
                let mut record = vec![kind, 3, 3, length, 0xff];
                record.extend(self.letters(letters).into_bytes());
                script.opening = record.into();
            }
            4 => {
                let piece = self.one_of(&RECORDS, &[]).repeat(self.between(1, 200));
                script.opening = if self.between(0, 1) == 0 {
                    hello
                } else {
                    Vec::new()
                }
                .into();
                script.then = Some(Repeat {
                    piece: piece.into(),
                    every: Duration::from_millis(10),
                    times: u32::MAX,
                });
            }
            _ => {
                script.layer = Layer::CutTls;
                script.opening = self.verify_guess().into();
            }
        }
        script
    }

    /// TLS 1.3 knows no renegotiation; new keys are what is left of it.
    pub(super) fn renegotiating(&mut self) -> Script {
        let health = self.get("/health/alive");
        let piece: Arc<[u8]> = match self.between(0, 2) {
            0 => self.verify_guess().into(),
            // Empty lines may precede a request.
            _ => Arc::from(*b"\r\n"),
        };
        let mut script = Script::new(Attack::Renegotiating, self.address(), health);
        script.layer = Layer::RekeyedTls;
        script.then = Some(Repeat {
            piece,
            every: Duration::from_millis(2),
            times: u32::MAX,
        });
        script
    }
}
