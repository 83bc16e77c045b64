use super::*;
use crate::limits::{HANDSHAKE_FRAME_BYTES, VERSION_MAX, VERSION_MIN};
use crate::random::Random;
use crate::secret::SharedSecret;

const CLUSTER: ClusterId = ClusterId([1; 16]);

fn secret(byte: u8) -> SharedSecret {
    SharedSecret::new(&[byte; 32]).unwrap()
}

fn identity(node: u8, current: u8, retired: &[u8]) -> Identity {
    Identity {
        cluster: CLUSTER,
        node: NodeId([node; 16]),
        secrets: Secrets {
            current: secret(current),
            retired: retired.iter().map(|byte| secret(*byte)).collect(),
        },
    }
}

fn replica(identity: Identity) -> (ReplicaHandshake, Vec<u8>) {
    ReplicaHandshake::begin(identity, Nonce([10; 32]))
}

fn primary(identity: Identity) -> PrimaryHandshake {
    PrimaryHandshake::begin(identity, Nonce([20; 32]))
}

fn sent(step: Result<HandshakeStep, HandshakeError>) -> Vec<u8> {
    match step {
        Ok(HandshakeStep::Send(frame) | HandshakeStep::Done(Some(frame), _)) => {
            assert!(frame.len() <= HANDSHAKE_FRAME_BYTES);
            frame
        }
        other => panic!("{other:?}"),
    }
}

fn refuses(step: Result<HandshakeStep, HandshakeError>) -> Refusal {
    match step {
        Err(HandshakeError::Refuses(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Runs a whole handshake. `alter` may change each frame.
fn meet(
    replica_is: Identity,
    primary_is: Identity,
    mut alter: impl FnMut(usize, &mut Vec<u8>),
) -> Result<(Box<Peer>, Box<Peer>), HandshakeError> {
    let (mut replica, mut hello) = replica(replica_is);
    let mut primary = primary(primary_is);
    alter(0, &mut hello);
    let HandshakeStep::Send(mut challenge) = primary.on_frame(&hello)? else {
        panic!("done after the greeting");
    };
    alter(1, &mut challenge);
    let HandshakeStep::Send(mut evidence) = replica.on_frame(&challenge)? else {
        panic!("done after the challenge");
    };
    alter(2, &mut evidence);
    let HandshakeStep::Done(Some(mut answer), at_primary) = primary.on_frame(&evidence)? else {
        panic!("not done after the evidence");
    };
    alter(3, &mut answer);
    let HandshakeStep::Done(None, at_replica) = replica.on_frame(&answer)? else {
        panic!("not done after the answer");
    };
    Ok((at_replica, at_primary))
}

#[test]
fn nodes_that_share_a_secret_meet() {
    let (mut at_replica, mut at_primary) =
        meet(identity(1, 7, &[]), identity(2, 7, &[]), |_, _| ()).unwrap();
    assert_eq!(at_replica.node, NodeId([2; 16]));
    assert_eq!(at_primary.node, NodeId([1; 16]));
    assert_eq!(at_replica.version, VERSION_MAX);
    let sealed = at_replica.session.seal(b"text".to_vec()).unwrap();
    assert_eq!(at_primary.session.open(sealed).unwrap(), b"text");
}

#[test]
fn a_secret_can_be_replaced_node_by_node() {
    let both = identity(2, 8, &[7]);
    assert!(meet(identity(1, 7, &[]), both.clone(), |_, _| ()).is_ok());
    assert!(meet(identity(1, 8, &[]), both, |_, _| ()).is_ok());
}

#[test]
fn whoever_does_not_know_the_secret_is_refused_by_either_side() {
    let refused = meet(identity(1, 7, &[]), identity(2, 8, &[]), |_, _| ());
    let proof = HandshakeError::Refuses(Refusal::Proof);
    assert_eq!(refused.err(), Some(proof));
    // A primary that accepts any proof still cannot make one.
    let forged = meet(identity(1, 7, &[]), identity(2, 7, &[]), |number, frame| {
        if number == 3 {
            let end = frame.len() - 32;
            frame.truncate(end);
            frame.extend([0; 32]);
        }
    });
    assert_eq!(forged.err(), Some(proof));
}

#[test]
fn every_altered_bit_is_noticed() {
    let mut random = Random::new(4);
    for number in 0..4 {
        for _ in 0..150 {
            let met = meet(identity(1, 7, &[]), identity(2, 7, &[]), |at, frame| {
                if at == number {
                    let bit = random.below(frame.len() * 8);
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
            });
            assert!(met.is_err(), "frame {number}");
        }
    }
}

#[test]
fn a_replayed_proof_is_refused() {
    let (mut first, hello) = replica(identity(1, 7, &[]));
    let mut once = primary(identity(2, 7, &[]));
    let challenge = sent(once.on_frame(&hello));
    let evidence = sent(first.on_frame(&challenge));
    sent(once.on_frame(&evidence));
    // Replays the frames to a primary with another nonce.
    let mut again = PrimaryHandshake::begin(identity(2, 7, &[]), Nonce([21; 32]));
    sent(again.on_frame(&hello));
    assert_eq!(refuses(again.on_frame(&evidence)), Refusal::Proof);
}

#[test]
fn a_proof_cannot_be_sent_back() {
    // A node without the secret sends the replica's own evidence back.
    let (mut caller, hello) = replica(identity(1, 7, &[]));
    let mut mirror = primary(identity(2, 8, &[]));
    let challenge = sent(mirror.on_frame(&hello));
    let mut evidence = sent(caller.on_frame(&challenge));
    evidence[0] = 4;
    assert_eq!(refuses(caller.on_frame(&evidence)), Refusal::Proof);
}

#[test]
fn another_cluster_version_or_self_is_refused() {
    let stranger = Identity {
        cluster: ClusterId([9; 16]),
        ..identity(1, 7, &[])
    };
    let (_, hello) = replica(stranger);
    assert_eq!(
        refuses(primary(identity(2, 7, &[])).on_frame(&hello)),
        Refusal::Cluster
    );
    let (_, hello) = replica(identity(2, 7, &[]));
    assert_eq!(
        refuses(primary(identity(2, 7, &[])).on_frame(&hello)),
        Refusal::SameNode
    );
    for (min, max) in [(0, VERSION_MIN - 1), (VERSION_MAX + 1, u16::MAX), (9, 3)] {
        let hello = format::Hello {
            version_min: min,
            version_max: max,
            cluster: CLUSTER,
            node: NodeId([1; 16]),
            nonce: Nonce([0; 32]),
        };
        let refusal = refuses(primary(identity(2, 7, &[])).on_frame(&hello.encode()));
        assert_eq!(refusal.label(), "version");
    }
    // A later release that also supports this version is accepted.
    let later = format::Hello {
        version_min: VERSION_MAX,
        version_max: u16::MAX,
        cluster: CLUSTER,
        node: NodeId([1; 16]),
        nonce: Nonce([0; 32]),
    };
    sent(primary(identity(2, 7, &[])).on_frame(&later.encode()));
    // An earlier release is spoken to in its version.
    let earlier = format::Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MIN,
        cluster: CLUSTER,
        node: NodeId([1; 16]),
        nonce: Nonce([0; 32]),
    };
    let challenge = sent(primary(identity(2, 7, &[])).on_frame(&earlier.encode()));
    assert_eq!(challenge[1..3], VERSION_MIN.to_le_bytes());
}

#[test]
fn frames_out_of_turn_and_garbage_are_refused() {
    let mut random = Random::new(5);
    for _ in 0..2000 {
        let garbage = random.bytes_up_to(HANDSHAKE_FRAME_BYTES);
        let refusal = refuses(primary(identity(2, 7, &[])).on_frame(&garbage));
        assert_eq!(refusal, Refusal::Handshake);
        let (mut caller, _) = replica(identity(1, 7, &[]));
        assert!(caller.on_frame(&garbage).is_err());
    }
    let (_, hello) = replica(identity(1, 7, &[]));
    let mut called = primary(identity(2, 7, &[]));
    sent(called.on_frame(&hello));
    assert_eq!(refuses(called.on_frame(&hello)), Refusal::Handshake);
    // After a refusal nothing is accepted.
    let mut called = primary(identity(2, 7, &[]));
    refuses(called.on_frame(&[]));
    assert_eq!(refuses(called.on_frame(&hello)), Refusal::Handshake);
}

#[test]
fn a_refusal_is_told_and_understood() {
    let (mut caller, hello) = replica(identity(1, 7, &[]));
    let mut called = primary(identity(2, 8, &[]));
    let challenge = sent(called.on_frame(&hello));
    let evidence = sent(caller.on_frame(&challenge));
    let error = called.on_frame(&evidence).unwrap_err();
    let told = caller.on_frame(&error.frame().unwrap()).unwrap_err();
    assert_eq!(told, HandshakeError::Refused(Refusal::Proof));
    assert_eq!(told.frame(), None);
}

/// SHA-256 over each part after its length.
fn digest(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(*part);
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    digest.as_ref().to_vec()
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    ring::hmac::sign(&key, text).as_ref().to_vec()
}

/// Compares the frames with `docs/FORMAT.md`, without the code of the handshake.
#[test]
fn frames_have_these_bytes() {
    let mut frames = Vec::new();
    let note = |_: usize, frame: &mut Vec<u8>| frames.push(frame.clone());
    meet(identity(1, 7, &[]), identity(2, 7, &[]), note).unwrap();
    let [hello, challenge, theirs, ours] = &frames[..] else {
        panic!("four frames");
    };
    let parts = |parts: &[&[u8]]| parts.concat();
    let versions: &[u8] = &[1, 0, 2, 0];
    let names = |node: u8| [[1; 16], [node; 16]].concat();
    let expected = parts(&[&[1], b"TALOSREP", versions, &names(1), &[1], &[10; 32]]);
    assert_eq!(hello, &expected);
    let expected = parts(&[&[2], &[2, 0], &names(2), &[2], &[20; 32]]);
    assert_eq!(challenge, &expected);

    let key = hmac(&[7; 32], b"talos/replication/v1/proof-key");
    let tag = b"talos/replication/v1/handshake";
    let (public, proof) = theirs[1..].split_at(32);
    assert_eq!((theirs[0], proof.len()), (3, 32));
    let claim = digest(&[tag, hello, challenge, b"replica", public]);
    assert_eq!(proof, hmac(&key, &claim));
    let (public, proof) = ours[1..].split_at(32);
    assert_eq!((ours[0], proof.len()), (4, 32));
    let claim = digest(&[tag, hello, challenge, theirs, b"primary", public]);
    assert_eq!(proof, hmac(&key, &claim));
}
