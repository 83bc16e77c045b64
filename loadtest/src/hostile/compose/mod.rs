//! Writes the scripts of hostile clients.
//!
//! Guarantee: the scripts depend on the seed and on the prey only, so a run can be repeated.

mod answers;
mod bodies;
mod floods;
mod heads;
mod malformed;
mod pages;
mod records;
mod uninvited;

use std::net::Ipv4Addr;

use super::attack::Attack;
use super::script::{Layer, Script};
use crate::random::Random;

/// The path of a verification.
const VERIFY: &str = "/v2alpha1/admin/apiKeys:verify";
/// The path of a batch of verifications.
const BATCH_VERIFY: &str = "/v2alpha1/admin/apiKeys:batchVerify";
/// The path of a batch import, which accepts the largest bodies.
const IMPORT: &str = "/v2alpha1/admin/importedApiKeys:batchCreate";
/// The issued keys.
const ISSUED: &str = "/v2alpha1/admin/issuedApiKeys";
/// The revocation of a key by its holder.
const SELF_REVOKE: &str = "/v2alpha1/apiKeys:selfRevoke";

/// What hostile clients know of the server.
#[derive(Clone, Debug, Default)]
pub struct Prey {
    /// The value of its `Host` header.
    pub host: String,
    /// Credentials of keys with the largest metadata.
    pub heavy: Vec<String>,
    /// The ids of these keys.
    pub ids: Vec<String>,
    /// The token of an administrator whose clients do not read their answers, if the server needs
    /// one.
    pub token: Option<String>,
    /// The first message of a TLS handshake with it; empty if it does not speak TLS.
    pub hello: Vec<u8>,
}

/// Writes scripts.
#[derive(Clone, Debug)]
pub struct Composer {
    prey: Prey,
    random: Random,
}

impl Composer {
    /// A composer whose random choices come from `random`.
    #[must_use]
    pub fn new(prey: Prey, random: Random) -> Self {
        Self { prey, random }
    }

    /// The script of the next client of this kind.
    pub fn compose(&mut self, attack: Attack) -> Script {
        let mut script = self.plain(attack);
        // The others send without TLS what a server with TLS must not take for a request.
        if !self.prey.hello.is_empty() && !attack.needs_tls() && self.between(0, 1) == 0 {
            script.layer = Layer::Tls;
        }
        script
    }

    fn plain(&mut self, attack: Attack) -> Script {
        match attack {
            Attack::Silent => self.silent(),
            Attack::SlowHead => self.slow_head(),
            Attack::HangUp => self.hang_up(),
            Attack::SlowBody => self.slow_body(),
            Attack::HalfClosed => self.half_closed(),
            Attack::Endless => self.endless(),
            Attack::Leftover => self.leftover(),
            Attack::Expecting => self.expecting(),
            Attack::Unread => self.unread(),
            Attack::Oversized => self.oversized(),
            Attack::Pipelined => self.pipelined(),
            Attack::Guessing => self.guessing(),
            Attack::SelfRevoking => self.self_revoking(),
            Attack::CrossSite => self.cross_site(),
            Attack::Malformed => self.malformed(),
            Attack::OtherProtocol => self.other_protocol(),
            Attack::Uninvited => self.uninvited(),
            Attack::StalledHandshake => self.stalled_handshake(),
            Attack::BrokenRecords => self.broken_records(),
            Attack::Renegotiating => self.renegotiating(),
        }
    }

    /// An address to connect from. Half of the clients share one address, the others have
    /// thousands.
    fn address(&mut self) -> Ipv4Addr {
        if self.random.below(2) == 0 {
            return Ipv4Addr::new(127, 66, 6, 6);
        }
        Ipv4Addr::new(127, 66, self.octet(16), 1 + self.octet(250))
    }

    fn octet(&mut self, bound: u8) -> u8 {
        u8::try_from(self.random.below(u32::from(bound))).unwrap_or(0)
    }

    /// A number from `least` to `most`.
    fn between(&mut self, least: usize, most: usize) -> usize {
        let range = u32::try_from(most - least + 1).unwrap_or(u32::MAX);
        least + usize::try_from(self.random.below(range)).unwrap_or(0)
    }

    /// One of these.
    fn one_of<T: Copy>(&mut self, items: &[T], otherwise: T) -> T {
        let index = self.between(0, items.len().saturating_sub(1));
        items.get(index).copied().unwrap_or(otherwise)
    }

    /// So many characters that JSON needs not escape.
    fn letters(&mut self, count: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789";
        let letter = |random: &mut Random| {
            let index = usize::try_from(random.below(58)).unwrap_or(0);
            char::from(LETTERS.get(index).copied().unwrap_or(b'A'))
        };
        (0..count).map(|_| letter(&mut self.random)).collect()
    }

    /// A credential that no key has, of any shape.
    fn guess(&mut self) -> String {
        match self.between(0, 5) {
            0 => {
                let (id, sum) = (self.letters(68), self.letters(44));
                format!("ory_ak_v1_{id}_{sum}")
            }
            // The credential of a key that exists, but for its checksum.
            1 => {
                let index = self.between(0, self.prey.heavy.len().saturating_sub(1));
                let known = self.prey.heavy.get(index).cloned().unwrap_or_default();
                let (head, _) = known.rsplit_once('_').unwrap_or(("ory_ak_v1_1", ""));
                format!("{head}_{}", self.letters(44))
            }
            // {"alg":"none"} and {"sub":"x"}.
            2 => format!("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.{}", self.letters(40)),
            3 => format!("mc_v1_{}", self.letters(200)),
            4 => {
                let length = self.between(1, 8192);
                self.letters(length)
            }
            _ => format!("sk_live_{}", self.letters(24)),
        }
    }

    /// A whole request with a JSON body.
    fn post(&self, path: &str, body: &str) -> Vec<u8> {
        let (host, length) = (&self.prey.host, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// A whole request of an administrator, without a body.
    fn get_as_administrator(&self, path: &str) -> Vec<u8> {
        let (host, token) = (&self.prey.host, self.prey.token.as_ref());
        let field = token.map(|token| format!("X-Talos-Token: {token}\r\n"));
        let field = field.unwrap_or_default();
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{field}\r\n").into_bytes()
    }

    /// A whole request without a body.
    fn get(&self, path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.prey.host).into_bytes()
    }

    /// A verification of a guessed credential.
    fn verify_guess(&mut self) -> Vec<u8> {
        let body = format!(r#"{{"credential":"{}"}}"#, self.guess());
        self.post(VERIFY, &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composer(seed: u64) -> Composer {
        let prey = Prey {
            host: "localhost:1".to_owned(),
            heavy: vec!["ory_ak_v1_abc_def".to_owned()],
            ids: vec!["id".to_owned()],
            token: None,
            hello: b"\x16\x03\x01\0\x05hello".to_vec(),
        };
        Composer::new(prey, Random::new(seed, 0))
    }

    #[test]
    fn the_same_seed_writes_the_same_scripts() {
        let (mut one, mut other, mut third) = (composer(1), composer(1), composer(2));
        let mut differs = false;
        for _ in 0..5 {
            for attack in Attack::ALL {
                let (script, same) = (one.compose(attack), other.compose(attack));
                assert_eq!(script.attack, attack);
                assert_eq!((&script.opening, script.from), (&same.opening, same.from));
                assert_eq!(script.layer, same.layer);
                assert!(script.pace.bytes > 0 && !script.pace.every.is_zero());
                assert!(script.from.is_loopback());
                differs |= third.compose(attack).opening != script.opening;
            }
        }
        assert!(differs);
    }

    #[test]
    fn a_guess_is_never_a_credential_of_the_prey() {
        let mut composer = composer(1);
        for _ in 0..1000 {
            let guess = composer.guess();
            assert!(!guess.is_empty() && guess.len() <= 8192);
            assert!(!composer.prey.heavy.contains(&guess));
            assert!(
                guess
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'"')
            );
        }
    }
}
