//! The kinds of hostile clients.

use std::time::Duration;

/// A kind of hostile client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// Connects and sends nothing, or nothing more after one answer.
    Silent,
    /// Sends a head a few bytes at a time.
    SlowHead,
    /// Announces a body and sends it a few bytes at a time, or not at all.
    SlowBody,
    /// Closes its sending side in the middle of a request, or after it.
    HalfClosed,
    /// Requests large answers and does not read them.
    Unread,
    /// Sends heads, targets, bodies and batches beyond every limit.
    Oversized,
    /// Sends a chunked body, a chunk's extension or trailers that do not end.
    Endless,
    /// Sends a large body and the first byte of the next request, and keeps the connection.
    Leftover,
    /// Sends as many requests as fit, without waiting for answers.
    Pipelined,
    /// Sends what a page of another site can make a browser send.
    CrossSite,
    /// Sends requests with random damage, and requests that no server may accept.
    Malformed,
    /// Connects and closes or resets at once, or in the middle of a request.
    HangUp,
    /// Announces bodies with `Expect` and plays with the answer.
    Expecting,
    /// Guesses credentials.
    Guessing,
    /// Revokes credentials that it does not have.
    SelfRevoking,
    /// Starts TLS, HTTP/2 and other protocols.
    OtherProtocol,
    /// Acts as an administrator without a token, or with a wrong one.
    Uninvited,
    /// Begins a TLS handshake and does not end it, or sends it a byte at a time.
    StalledHandshake,
    /// Sends TLS records that are damaged, endless or cut in half.
    BrokenRecords,
    /// Changes the keys of a TLS session again and again.
    Renegotiating,
}

/// How many clients of a kind there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Numbers {
    /// New connections per second.
    pub per_second: f64,
    /// The most connections at a time.
    pub most: usize,
}

/// Which answers to a hostile client are breaches. An answer of status 500 always is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Any success: the client may do nothing of what it asks for.
    Success,
    /// A credential that is valid: the client has none.
    ValidCredential,
    /// No other answer: the client asks for what anybody may have.
    Nothing,
}

impl Attack {
    /// All kinds, in the order in which reports list them.
    pub const ALL: [Self; 20] = [
        Self::Silent,
        Self::SlowHead,
        Self::SlowBody,
        Self::HalfClosed,
        Self::Unread,
        Self::Oversized,
        Self::Endless,
        Self::Leftover,
        Self::Pipelined,
        Self::CrossSite,
        Self::Malformed,
        Self::HangUp,
        Self::Expecting,
        Self::Guessing,
        Self::SelfRevoking,
        Self::OtherProtocol,
        Self::Uninvited,
        Self::StalledHandshake,
        Self::BrokenRecords,
        Self::Renegotiating,
    ];

    /// The name in `--only` and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::SlowHead => "slow-head",
            Self::SlowBody => "slow-body",
            Self::HalfClosed => "half-closed",
            Self::Unread => "unread",
            Self::Oversized => "oversized",
            Self::Endless => "endless",
            Self::Leftover => "leftover",
            Self::Pipelined => "pipelined",
            Self::CrossSite => "cross-site",
            Self::Malformed => "malformed",
            Self::HangUp => "hang-up",
            Self::Expecting => "expecting",
            Self::Guessing => "guessing",
            Self::SelfRevoking => "self-revoking",
            Self::OtherProtocol => "other-protocol",
            Self::Uninvited => "uninvited",
            Self::StalledHandshake => "stalled-handshake",
            Self::BrokenRecords => "broken-records",
            Self::Renegotiating => "renegotiating",
        }
    }

    /// Whether only a server that speaks TLS can be attacked so.
    #[must_use]
    pub fn needs_tls(self) -> bool {
        matches!(
            self,
            Self::StalledHandshake | Self::BrokenRecords | Self::Renegotiating
        )
    }

    /// How many clients there are at intensity 1. Kinds that cost the server more per connection
    /// are rarer, so that all of them together take a small part of a core: a stranger who sends
    /// more requests takes more time of the server, and that is no defect.
    #[must_use]
    pub fn numbers(self) -> Numbers {
        let (per_second, most) = match self {
            Self::Silent => (60.0, 900),
            Self::SlowHead => (20.0, 300),
            Self::SlowBody => (15.0, 200),
            Self::HalfClosed | Self::CrossSite | Self::Uninvited | Self::BrokenRecords => {
                (20.0, 60)
            }
            Self::Unread => (4.0, 80),
            Self::Oversized => (8.0, 60),
            Self::Endless => (10.0, 100),
            Self::Leftover => (3.0, 60),
            Self::Pipelined | Self::Guessing | Self::SelfRevoking | Self::Renegotiating => {
                (2.0, 20)
            }
            Self::StalledHandshake => (30.0, 300),
            Self::Malformed => (40.0, 100),
            Self::HangUp => (60.0, 60),
            Self::Expecting | Self::OtherProtocol => (10.0, 60),
        };
        Numbers { per_second, most }
    }

    /// Which answers are breaches.
    #[must_use]
    pub fn breach(self) -> Breach {
        match self {
            Self::CrossSite
            | Self::SelfRevoking
            | Self::OtherProtocol
            | Self::Uninvited
            | Self::StalledHandshake
            | Self::BrokenRecords => Breach::Success,
            Self::Guessing
            | Self::Malformed
            | Self::Pipelined
            | Self::Expecting
            | Self::Renegotiating => Breach::ValidCredential,
            _ => Breach::Nothing,
        }
    }

    /// How long a client stays if the server does not end its connection.
    #[must_use]
    pub fn lasts(self) -> Duration {
        Duration::from_secs(match self {
            Self::Pipelined | Self::Expecting | Self::OtherProtocol => 5,
            Self::CrossSite
            | Self::Malformed
            | Self::HangUp
            | Self::Uninvited
            | Self::BrokenRecords => 3,
            Self::Guessing | Self::SelfRevoking | Self::Renegotiating => 10,
            _ => 60,
        })
    }
}

impl std::str::FromStr for Attack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|attack| attack.name() == text);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("expected one of {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_once_and_found_by_its_name() {
        for (index, attack) in Attack::ALL.into_iter().enumerate() {
            assert_eq!(attack as usize, index);
            assert_eq!(attack.name().parse(), Ok(attack));
            assert!(attack.numbers().per_second > 0.0 && attack.numbers().most > 0);
        }
        assert!(
            "loud"
                .parse::<Attack>()
                .unwrap_err()
                .contains("silent, slow-head")
        );
    }
}
