//! Requests that are damaged, and requests that no server may accept.

use super::{Composer, VERIFY};
use crate::hostile::attack::Attack;
use crate::hostile::script::{Pace, Script};

/// Heads that are ambiguous or wrong: what two servers could read in two ways.
const WRONG: [&str; 14] = [
    "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n{}  ",
    "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
    "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\n{}",
    "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\n{\r\n",
    "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
    "GET /health/alive HTTP/1.1\nHost: h\n\n",
    "GET /health/alive HTTP/1.1\r\nHost: h\r\n folded: 1\r\n\r\n",
    "GET /health/alive HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
    "GET /health/\0alive HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET http:// HTTP/9.9\r\nHost : h\r\n\r\n",
];

impl Composer {
    pub(super) fn malformed(&mut self) -> Script {
        let mut opening = Vec::new();
        for _ in 0..self.between(1, 3) {
            if self.between(0, 2) == 0 {
                opening.extend_from_slice(self.one_of(&WRONG, "").as_bytes());
            } else {
                let mut request = self.well_formed();
                for _ in 0..self.between(1, 8) {
                    self.damage(&mut request);
                }
                opening.extend(request);
            }
        }
        let mut script = Script::new(Attack::Malformed, self.address(), opening);
        if self.between(0, 1) == 0 {
            script.pace = Pace::slow(self.between(1, 64), 10);
        }
        script
    }

    fn well_formed(&mut self) -> Vec<u8> {
        if self.between(0, 1) == 0 {
            return self.verify_guess();
        }
        let (host, body) = (self.prey.host.clone(), r#"{"credential":"x"}"#);
        let length = body.len();
        format!(
            "POST {VERIFY} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
        )
        .into_bytes()
    }

    /// Replaces, removes, doubles or adds some bytes.
    pub(super) fn damage(&mut self, request: &mut Vec<u8>) {
        if request.is_empty() {
            return;
        }
        let at = self.between(0, request.len() - 1);
        let until = (at + self.between(1, 16)).min(request.len());
        match self.between(0, 3) {
            0 => {
                let byte = self.one_of(b"\0\r\n \t:;,{}\"0/\x7f\xff", 0);
                if let Some(old) = request.get_mut(at) {
                    *old = byte;
                }
            }
            1 => drop(request.drain(at..until)),
            2 => {
                let part = request.get(at..until).unwrap_or_default().to_vec();
                request.splice(at..at, part);
            }
            _ => request.insert(at, self.octet(255)),
        }
    }
}
