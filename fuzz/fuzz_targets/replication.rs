//! Replication frames: the result does not depend on how the bytes are split, a message has one
//! spelling, and an altered handshake fails.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use talos_fuzz::edits::{Edit, edited};
use talos_replication::frame::{self, Decoder, FrameError};
use talos_replication::handshake::{Identity, Nonce};
use talos_replication::ids::{ClusterId, NodeId};
use talos_replication::limits::{FRAME_BYTES, HANDSHAKE_FRAME_BYTES};
use talos_replication::link::{Incoming, Link};
use talos_replication::message_format;
use talos_replication::secret::{Secrets, SharedSecret};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: &'a [u8],
    bodies: Vec<&'a [u8]>,
    edits: Vec<Edit>,
    pieces: Vec<u8>,
    /// The number of the handshake frame that is altered.
    touched: Option<u8>,
}

static SECRETS: LazyLock<Secrets> = LazyLock::new(|| Secrets {
    current: SharedSecret::new(&[7; 32]).expect("long enough"),
    retired: vec![],
});

fuzz_target!(|input: Input<'_>| {
    agrees(input.raw, &input.pieces);
    let mut stream = Vec::new();
    for body in &input.bodies {
        frame::append(body, &mut stream);
    }
    agrees(&stream, &input.pieces);
    agrees(&edited(&stream, &input.edits), &input.pieces);

    has_one_spelling(input.raw);
    if let Ok(message) = message_format::decode(input.raw) {
        has_one_spelling(&edited(&message_format::encode(&message), &input.edits));
    }

    opens_for_nobody(input.raw);
    opens_for_nobody(&stream);
    if let Some(touched) = input.touched {
        meet(usize::from(touched % 4), &input.edits);
    }
});

/// The bodies, and the error if there was one.
type Decoded = (Vec<Vec<u8>>, Option<FrameError>);

fn agrees(bytes: &[u8], pieces: &[u8]) {
    for most in [HANDSHAKE_FRAME_BYTES, FRAME_BYTES] {
        let decoded = decode(bytes, pieces, most);
        assert_eq!(decoded, decode(bytes, &[], most), "another split");
        assert_eq!(decoded.0, whole(bytes, most));
    }
}

/// Decodes in pieces of these lengths, then the rest at once.
fn decode(bytes: &[u8], pieces: &[u8], most: usize) -> Decoded {
    let mut decoder = Decoder::new();
    decoder.allow(most);
    let (mut bodies, mut rest) = (Vec::new(), bytes);
    let lengths = pieces.iter().map(|length| usize::from(*length));
    for length in lengths.chain([usize::MAX]) {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(body)) => bodies.push(body),
                Ok(None) => break,
                Err(error) => return (bodies, Some(error)),
            }
        }
    }
    (bodies, None)
}

/// A simple decoder of the whole. Stops at the first invalid frame.
fn whole(mut bytes: &[u8], most: usize) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(8) {
        let length = u32::from_le_bytes(head[..4].try_into().expect("four bytes"));
        let length = usize::try_from(length).expect("64 bits");
        let Some((body, after)) = rest.split_at_checked(length) else {
            break;
        };
        let mut again = Vec::new();
        frame::append(body, &mut again);
        if length == 0 || length > most || again != bytes[..8 + length] {
            break;
        }
        bodies.push(body.to_vec());
        bytes = after;
    }
    bodies
}

fn has_one_spelling(bytes: &[u8]) {
    if let Ok(message) = message_format::decode(bytes) {
        assert_eq!(message_format::encode(&message), bytes);
    }
}

fn identity(node: u8) -> Identity {
    Identity {
        cluster: ClusterId([1; 16]),
        node: NodeId([node; 16]),
        secrets: SECRETS.clone(),
    }
}

/// A peer that does not know the secret cannot open a link, whatever it sends.
fn opens_for_nobody(bytes: &[u8]) {
    let called = Link::answer(identity(2), Nonce([2; 32]), 0);
    let (calling, _) = Link::call(identity(1), Nonce([1; 32]), 0);
    for mut link in [called, calling] {
        if let Ok(incoming) = link.on_bytes(bytes, &mut Vec::new()) {
            assert!(incoming.is_empty());
        }
        assert!(!link.is_open());
    }
}

/// Two peers that know the secret open a link, unless one of their frames is altered.
fn meet(touched: usize, edits: &[Edit]) {
    let (mut replica, hello) = Link::call(identity(1), Nonce([1; 32]), 0);
    let mut primary = Link::answer(identity(2), Nonce([2; 32]), 0);
    let mut frame = hello;
    for number in 0..4 {
        let mut sent = frame.clone();
        if number == touched {
            sent = edited(&frame, edits);
        }
        let altered = sent != frame;
        let receiver = if number % 2 == 0 {
            &mut primary
        } else {
            &mut replica
        };
        let mut answer = Vec::new();
        let incoming = receiver.on_bytes(&sent, &mut answer);
        let opened = matches!(incoming.as_deref(), Ok([Incoming::Open(_), ..]));
        // Bytes appended to a frame are read with the next frame.
        let only_longer = sent.starts_with(&frame);
        assert!(opened == (number >= 2) || altered, "frame {number}");
        assert!(!opened || number >= 2);
        if altered && !only_longer {
            assert!(!opened, "frame {number}");
        }
        if altered {
            return;
        }
        frame = answer;
    }
    assert!(replica.is_open() && primary.is_open());
}
