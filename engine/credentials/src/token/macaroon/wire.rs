//! Encodes and decodes macaroons in version 2 of libmacaroons' binary format.
//!
//! ```text
//! macaroon = 02 [location] identifier 00 caveat* 00 signature
//! caveat   =    [location] identifier [verification id] 00
//! packet   = type, length, content;  location 01, identifier 02, verification id 04, signature 06
//! ```
//!
//! Types and lengths are varints: seven bits a byte, the lowest first; the highest bit is set in
//! all bytes but the last. A caveat with a location or a verification id is a third-party caveat,
//! which this system does not support.

const VERSION: u8 = 2;
const END: u8 = 0;
const LOCATION: u8 = 1;
const IDENTIFIER: u8 = 2;
const VERIFICATION_ID: u8 = 4;
const SIGNATURE: u8 = 6;

/// The parts of a macaroon. Its signature is not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packets {
    /// A hint that no signature covers.
    pub(super) location: Option<Vec<u8>>,
    /// Identifies the macaroon and starts the chain of signatures.
    pub(super) identifier: Vec<u8>,
    /// First-party caveats, in order.
    pub(super) caveats: Vec<Vec<u8>>,
    /// The last signature of the chain.
    pub(super) signature: [u8; 32],
}

/// Why [`decode`] refused the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireFault {
    Malformed,
    ThirdParty,
    TooMany,
}

/// Decodes all of `bytes` as one macaroon of at most `caveats_max` first-party caveats.
pub(super) fn decode(bytes: &[u8], caveats_max: usize) -> Result<Packets, WireFault> {
    let mut reader = Reader { rest: bytes };
    reader.expect(VERSION)?;
    let location = reader.optional(LOCATION)?.map(<[u8]>::to_vec);
    let identifier = reader.required(IDENTIFIER)?.to_vec();
    reader.expect(END)?;
    let mut caveats = Vec::new();
    while !reader.skip(END) {
        let location = reader.optional(LOCATION)?;
        let identifier = reader.required(IDENTIFIER)?;
        let verification_id = reader.optional(VERIFICATION_ID)?;
        reader.expect(END)?;
        if location.is_some() || verification_id.is_some() {
            return Err(WireFault::ThirdParty);
        }
        if caveats.len() == caveats_max {
            return Err(WireFault::TooMany);
        }
        caveats.push(identifier.to_vec());
    }
    let signature = reader.required(SIGNATURE)?;
    let signature = signature.try_into().map_err(|_| WireFault::Malformed)?;
    if !reader.rest.is_empty() {
        return Err(WireFault::Malformed);
    }
    Ok(Packets {
        location,
        identifier,
        caveats,
        signature,
    })
}

/// The bytes that [`decode`] decodes to `macaroon`.
pub(super) fn encode(macaroon: &Packets) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    if let Some(location) = &macaroon.location {
        push(&mut bytes, LOCATION, location);
    }
    push(&mut bytes, IDENTIFIER, &macaroon.identifier);
    bytes.push(END);
    for caveat in &macaroon.caveats {
        push(&mut bytes, IDENTIFIER, caveat);
        bytes.push(END);
    }
    bytes.push(END);
    push(&mut bytes, SIGNATURE, &macaroon.signature);
    bytes
}

fn push(bytes: &mut Vec<u8>, kind: u8, content: &[u8]) {
    bytes.push(kind);
    let mut length = content.len();
    loop {
        // Seven bits always fit.
        let low = u8::try_from(length & 0x7f).unwrap_or(0x7f);
        length >>= 7;
        if length == 0 {
            bytes.push(low);
            break;
        }
        bytes.push(low | 0x80);
    }
    bytes.extend_from_slice(content);
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Skips `byte` if it comes next.
    fn skip(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), WireFault> {
        self.skip(byte).then_some(()).ok_or(WireFault::Malformed)
    }

    /// The content of the next packet if it is of this type. Every type fits into one byte.
    fn optional(&mut self, kind: u8) -> Result<Option<&'a [u8]>, WireFault> {
        if !self.skip(kind) {
            return Ok(None);
        }
        let length = self.length().ok_or(WireFault::Malformed)?;
        let split = self.rest.split_at_checked(length);
        let (content, rest) = split.ok_or(WireFault::Malformed)?;
        self.rest = rest;
        Ok(Some(content))
    }

    fn required(&mut self, kind: u8) -> Result<&'a [u8], WireFault> {
        self.optional(kind)?.ok_or(WireFault::Malformed)
    }

    /// A length, encoded in the fewest bytes. Two bytes suffice, because a macaroon has at most
    /// 8192.
    fn length(&mut self) -> Option<usize> {
        let (&low, rest) = self.rest.split_first()?;
        if low < 0x80 {
            self.rest = rest;
            return Some(low.into());
        }
        let (&high, rest) = rest.split_first()?;
        self.rest = rest;
        matches!(high, 1..0x80).then_some(usize::from(low & 0x7f) | usize::from(high) << 7)
    }
}

#[cfg(test)]
mod tests {
    use crate::token::macaroon::wire::*;

    fn sample() -> Packets {
        Packets {
            location: Some(b"l".to_vec()),
            identifier: b"i".to_vec(),
            caveats: vec![vec![b'c'; 300], vec![]],
            signature: [7; 32],
        }
    }

    fn bytes(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    const SIGNED: &[u8] = &[
        6, 32, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7,
    ];

    #[test]
    fn what_is_written_is_read() {
        let macaroon = sample();
        let written = encode(&macaroon);
        let caveat = vec![b'c'; 300];
        let expected = bytes(&[
            b"\x02\x01\x01l\x02\x01i\x00\x02\xac\x02",
            &caveat,
            b"\x00\x02\x00\x00\x00",
            SIGNED,
        ]);
        assert_eq!(written, expected);
        assert_eq!(decode(&written, 2), Ok(macaroon));
        assert_eq!(decode(&written, 1), Err(WireFault::TooMany));
    }

    #[test]
    fn every_cut_and_every_tail_is_noticed() {
        let mut written = encode(&sample());
        for cut in 0..written.len() {
            assert!(decode(&written[..cut], 9).is_err(), "{cut}");
        }
        written.push(0);
        assert_eq!(decode(&written, 9), Err(WireFault::Malformed));
    }

    #[test]
    fn other_bytes_are_malformed() {
        for (what, text) in [
            ("version 1", bytes(&[b"\x01\x02\x01i\x00\x00", SIGNED])),
            ("no identifier", bytes(&[b"\x02\x00\x00", SIGNED])),
            ("order", bytes(&[b"\x02\x02\x01i\x01\x01l\x00\x00", SIGNED])),
            ("twice", bytes(&[b"\x02\x02\x01i\x02\x01i\x00\x00", SIGNED])),
            (
                "overlong length",
                bytes(&[b"\x02\x02\x81\x00i\x00\x00", SIGNED]),
            ),
            (
                "three bytes of length",
                bytes(&[b"\x02\x02\x81\x80\x01i\x00\x00", SIGNED]),
            ),
            (
                "overlong type",
                bytes(&[b"\x02\x82\x00\x01i\x00\x00", SIGNED]),
            ),
            (
                "unknown type",
                bytes(&[b"\x02\x02\x01i\x00\x03\x01x\x00\x00", SIGNED]),
            ),
            (
                "short signature",
                bytes(&[b"\x02\x02\x01i\x00\x00\x06\x02", b"77"]),
            ),
            ("text of version 1", b"0021location http://x\n".to_vec()),
            ("JSON", br#"{"v":2}"#.to_vec()),
        ] {
            assert_eq!(decode(&text, 9), Err(WireFault::Malformed), "{what}");
        }
    }

    #[test]
    fn third_parties_are_not_known() {
        for caveat in [
            b"\x02\x01c\x04\x01v\x00".as_slice(),
            b"\x01\x01l\x02\x01c\x04\x01v\x00",
            b"\x01\x01l\x02\x01c\x00",
        ] {
            let text = bytes(&[b"\x02\x02\x01i\x00", caveat, b"\x00", SIGNED]);
            assert_eq!(decode(&text, 9), Err(WireFault::ThirdParty));
        }
    }
}
