//! The bytes of a change in the log.

use std::sync::Arc;

use talos_model::clock::UnixMillis;
use talos_model::{
    Change, Event, Position, RecordKey, RequestDigest, RequestId, SecretFingerprint, Subject,
};
use wincode::{SchemaRead, SchemaWrite};

use super::author::AuthorV1;
use super::{admin_token, bulk_revocation, record};
use crate::storage::error::StorageError;

/// The version of a change of one key without an author.
const OF_A_KEY: u8 = 1;
/// The version of a change of many keys without an author. Releases without bulk revocations must
/// refuse such a change, because they would go on accepting the revoked keys. The version number
/// makes them refuse it.
const OF_MANY_KEYS: u8 = 2;
/// The version of a change with an author or of an admin token.
const WITH_AUTHOR: u8 = 3;
/// The version of a change with the digest of its request. All other changes keep their versions,
/// so that older releases can read them.
const WITH_DIGEST: u8 = 4;
/// The version of a change that notes which secret signed, and the newest that this release reads.
/// The fingerprint of the secret follows, and then the change in one of the versions above.
const WITH_SECRET: u8 = 5;

/// An event's code on disk is its index here.
const EVENTS: [Event; 13] = [
    Event::IssuedKeyCreated,
    Event::IssuedKeyRevoked,
    Event::ImportedKeyRevoked,
    Event::ImportedKeyCreated,
    Event::IssuedKeyUpdated,
    Event::ImportedKeyUpdated,
    Event::IssuedKeyRotated,
    Event::ImportedKeyDeleted,
    Event::BulkRevocationAdded,
    Event::BulkRevocationCompleted,
    Event::AdminTokenCreated,
    Event::AdminTokenRotated,
    Event::AdminTokenRevoked,
];

/// What a subject is, in version 3.
const KEY: u8 = 0;
const BULK_REVOCATION: u8 = 1;
const ADMIN_TOKEN: u8 = 2;

#[derive(SchemaWrite, SchemaRead)]
struct ChangeV1 {
    time_ms: i64,
    event: u8,
    request_id: Option<String>,
    /// The key of the record; empty when `subject` is a bulk revocation.
    key: Vec<u8>,
    /// The record or the bulk revocation.
    subject: Vec<u8>,
}

#[derive(SchemaWrite, SchemaRead)]
struct ChangeV3 {
    author: Option<AuthorV1>,
    /// What `subject` is.
    kind: u8,
    /// The other fields. `key` is empty when `subject` is no record; `subject` may be an admin
    /// token.
    fields: ChangeV1,
}

#[derive(SchemaWrite, SchemaRead)]
struct ChangeV4 {
    /// The digest of the request.
    digest: Vec<u8>,
    /// The other fields.
    fields: ChangeV3,
}

/// Encodes `change`. `subject` is its encoded record, bulk revocation or admin token.
pub fn encode(change: &Change, subject: &[u8]) -> Result<Vec<u8>, StorageError> {
    let bytes = encode_without_secret(change, subject)?;
    Ok(match change.signed_by {
        None => bytes,
        Some(SecretFingerprint(print)) => [&[WITH_SECRET], print.as_slice(), &bytes].concat(),
    })
}

fn encode_without_secret(change: &Change, subject: &[u8]) -> Result<Vec<u8>, StorageError> {
    let (kind, key) = match &change.subject {
        Subject::Key(record) => {
            let key = RecordKey::new(record.tenant, record.key_id);
            (KEY, key.as_bytes().to_vec())
        }
        Subject::BulkRevocation(_) => (BULK_REVOCATION, Vec::new()),
        Subject::AdminToken(_) => (ADMIN_TOKEN, Vec::new()),
    };
    let fields = ChangeV1 {
        time_ms: change.time.0,
        event: (0..)
            .zip(EVENTS)
            .find(|(_, event)| *event == change.event)
            .map_or(0, |(code, _)| code),
        request_id: change.request_id.as_ref().map(|request| request.id.clone()),
        key,
        subject: subject.to_vec(),
    };
    let digest = change.request_id.as_ref().map(|request| &request.digest);
    let digest = digest.filter(|digest| !digest.is_empty());
    let (version, fields) = match (digest, &change.author, kind) {
        (None, None, KEY) => (OF_A_KEY, wincode::serialize(&fields)),
        (None, None, BULK_REVOCATION) => (OF_MANY_KEYS, wincode::serialize(&fields)),
        (digest, author, _) => {
            let author = author.as_deref().map(AuthorV1::encode);
            let fields = ChangeV3 {
                author,
                kind,
                fields,
            };
            match digest.map(RequestDigest::to_bytes) {
                None => (WITH_AUTHOR, wincode::serialize(&fields)),
                Some(digest) => {
                    let fields = ChangeV4 { digest, fields };
                    (WITH_DIGEST, wincode::serialize(&fields))
                }
            }
        }
    };
    let fields = fields.map_err(|error| StorageError::Encode(error.to_string()))?;
    Ok(std::iter::once(version).chain(fields).collect())
}

/// Decodes the change at `position`.
pub fn decode(position: Position, bytes: &[u8]) -> Result<Change, StorageError> {
    let (signed_by, bytes) = match bytes.split_first() {
        Some((&WITH_SECRET, rest)) => {
            let (print, bytes) = rest
                .split_first_chunk()
                .ok_or(StorageError::Corrupt("a change's secret"))?;
            (Some(SecretFingerprint(*print)), bytes)
        }
        _ => (None, bytes),
    };
    let (&version, fields) = bytes
        .split_first()
        .ok_or(StorageError::Corrupt("an empty change"))?;
    let unreadable = |_| StorageError::Corrupt("a change's fields");
    let without_author = || wincode::deserialize_exact(fields).map_err(unreadable);
    let of = |kind, fields| ChangeV3 {
        author: None,
        kind,
        fields,
    };
    let (digest, fields) = match version {
        OF_A_KEY => (Vec::new(), of(KEY, without_author()?)),
        OF_MANY_KEYS => (Vec::new(), of(BULK_REVOCATION, without_author()?)),
        WITH_AUTHOR => {
            let fields = wincode::deserialize_exact(fields).map_err(unreadable)?;
            (Vec::new(), fields)
        }
        WITH_DIGEST => {
            let ChangeV4 { digest, fields } =
                wincode::deserialize_exact(fields).map_err(unreadable)?;
            (digest, fields)
        }
        WITH_SECRET => return Err(StorageError::Corrupt("a change's version")),
        found => {
            return Err(StorageError::NewerRecord {
                found,
                supported: WITH_SECRET,
            });
        }
    };
    let ChangeV3 {
        author,
        kind,
        fields,
    } = fields;
    let digest = RequestDigest::from_bytes(&digest)
        .filter(|digest| fields.request_id.is_some() || digest.is_empty())
        .ok_or(StorageError::Corrupt("the digest of a request"))?;
    let subject = match kind {
        KEY => Subject::Key(record::decode(&fields.key, &fields.subject)?),
        BULK_REVOCATION => Subject::BulkRevocation(bulk_revocation::decode(&fields.subject)?),
        ADMIN_TOKEN => Subject::AdminToken(admin_token::decode(&fields.subject)?),
        _ => return Err(StorageError::Corrupt("a change's subject")),
    };
    let change = Change {
        position,
        time: UnixMillis(fields.time_ms),
        event: *EVENTS
            .get(usize::from(fields.event))
            .ok_or(StorageError::Corrupt("a change's event"))?,
        request_id: fields.request_id.map(|id| RequestId { id, digest }),
        author: author.map(AuthorV1::decode).transpose()?.map(Arc::new),
        signed_by,
        subject,
    };
    let is_consistent = change.is_consistent();
    is_consistent
        .then_some(change)
        .ok_or(StorageError::Corrupt("an event of something else"))
}

#[cfg(test)]
mod tests {
    use talos_model::{Author, Epoch, Matcher, Proof, Sequence};

    use super::*;
    use crate::samples;

    fn author() -> Author {
        Author {
            name: "ci".to_owned(),
            proof: Proof::Certificate,
            address: Some("192.0.2.1".parse().unwrap()),
        }
    }

    fn change(event: Event, subject: Subject, author: Option<Author>) -> Change {
        Change {
            position: Position {
                epoch: Epoch(1),
                sequence: Sequence(5),
            },
            time: UnixMillis(7),
            event,
            request_id: Some(RequestId {
                id: "r".to_owned(),
                digest: RequestDigest::default(),
            }),
            author: author.map(Arc::new),
            signed_by: None,
            subject,
        }
    }

    /// A change whose request has a digest.
    fn with_digest(author: Option<Author>) -> Change {
        Change {
            request_id: Some(samples::request_id()),
            ..change(
                Event::IssuedKeyCreated,
                Subject::Key(samples::record(5)),
                author,
            )
        }
    }

    /// A change of each kind.
    fn changes(author: Option<&Author>) -> [Change; 3] {
        [
            (Event::IssuedKeyUpdated, Subject::Key(samples::record(5))),
            (
                Event::BulkRevocationAdded,
                Subject::BulkRevocation(samples::bulk_revocation(5, Matcher::default())),
            ),
            (
                Event::AdminTokenRotated,
                Subject::AdminToken(samples::admin_token(5)),
            ),
        ]
        .map(|(event, subject)| change(event, subject, author.cloned()))
    }

    fn encoded_subject(change: &Change) -> Vec<u8> {
        match &change.subject {
            Subject::Key(record) => record::encode(record),
            Subject::BulkRevocation(revocation) => bulk_revocation::encode(revocation),
            Subject::AdminToken(token) => admin_token::encode(token),
        }
        .unwrap()
    }

    fn encoded(change: &Change) -> Vec<u8> {
        encode(change, &encoded_subject(change)).unwrap()
    }

    #[test]
    fn a_change_survives_its_bytes() {
        for (author, versions) in [(None, [1, 2, 3]), (Some(author()), [3; 3])] {
            for (change, version) in changes(author.as_ref()).iter().zip(versions) {
                let bytes = encoded(change);
                assert_eq!(bytes[0], version);
                assert_eq!(decode(change.position, &bytes).as_ref(), Ok(change));
                for len in 0..bytes.len() {
                    assert!(decode(change.position, &bytes[..len]).is_err(), "{len}");
                }
                let mut newer = bytes;
                newer[0] = 6;
                let error = decode(change.position, &newer).unwrap_err().to_string();
                assert!(error.contains("reads up to version 5"), "{error}");
            }
            let change = with_digest(author);
            let bytes = encoded(&change);
            assert_eq!(bytes[0], 4);
            assert_eq!(decode(change.position, &bytes).as_ref(), Ok(&change));
            for len in 0..bytes.len() {
                assert!(decode(change.position, &bytes[..len]).is_err(), "{len}");
            }
        }
    }

    #[test]
    fn a_digest_belongs_to_a_request_id() {
        let change = with_digest(None);
        let bytes = encoded(&change);
        // The digest without its last byte, and the change without its request id.
        let digest_bytes = usize::from(bytes[1]);
        let mut shorter = bytes.clone();
        shorter[1] -= 1;
        shorter.remove(9 + digest_bytes - 1);
        assert!(decode(change.position, &shorter).is_err());
        let id = [&[1], 8_u64.to_le_bytes().as_slice(), b"deploy-1"].concat();
        let place = bytes.windows(id.len()).position(|window| *window == id);
        let place = place.expect("a request id");
        let without = [&bytes[..place], [0].as_slice(), &bytes[place + id.len()..]].concat();
        let error = decode(change.position, &without).unwrap_err().to_string();
        assert!(error.contains("digest"), "{error}");
    }

    #[test]
    fn a_change_notes_the_secret_that_signed() {
        let print = SecretFingerprint([0x5e; 16]);
        for author in [None, Some(author())] {
            let record = Subject::Key(samples::record(5));
            let unsigned = change(Event::IssuedKeyCreated, record, author);
            let signed = Change {
                signed_by: Some(print),
                ..unsigned.clone()
            };
            let bytes = encoded(&signed);
            assert_eq!(bytes[..17], [[5].as_slice(), &[0x5e; 16]].concat());
            assert_eq!(bytes[17..], encoded(&unsigned));
            assert_eq!(decode(signed.position, &bytes).as_ref(), Ok(&signed));
            for len in 0..bytes.len() {
                assert!(decode(signed.position, &bytes[..len]).is_err(), "{len}");
            }
            // Once is enough.
            let twice = [&bytes[..17], &bytes].concat();
            assert!(decode(signed.position, &twice).is_err());
            // No other change is signed.
            let updated = Change {
                event: Event::IssuedKeyUpdated,
                ..signed
            };
            assert!(decode(updated.position, &encoded(&updated)).is_err());
        }
    }

    #[test]
    fn an_event_of_something_else_is_refused() {
        let position = changes(None)[0].position;
        for event in EVENTS {
            let fitting = changes(None).into_iter().filter(|change| {
                let altered = Change {
                    event,
                    ..change.clone()
                };
                decode(position, &encoded(&altered)).is_ok()
            });
            // A bulk revocation is not completed by the change that begins it.
            let expected = usize::from(event != Event::BulkRevocationCompleted);
            assert_eq!(fitting.count(), expected, "{event:?}");
        }
        let [.., token] = changes(None);
        let elsewhere = Position {
            sequence: Sequence(6),
            ..position
        };
        assert!(decode(elsewhere, &encoded(&token)).is_err());
    }

    /// Later releases must read what this one writes: the meaning of these bytes may never change.
    #[test]
    fn the_layouts_are_fixed() {
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        let list = |bytes: &[u8]| {
            let length = (bytes.len() as u64).to_le_bytes();
            hex(&[length.as_slice(), bytes].concat())
        };
        let codes = [4, 8, 11].map(|code: u8| hex(&[code]));
        let author_bytes = [
            "01",
            "0200000000000000",
            "6369", // name
            "02",   // proof
            "01",
            "04",
            "000000000000000000000000c0000201", // address
        ]
        .concat();
        for (author, author_bytes) in [(None, "00"), (Some(author()), &author_bytes)] {
            let kinds = ["00", "01", "02"];
            let of_kinds = kinds.into_iter().zip(&codes);
            for (change, (kind, code)) in changes(author.as_ref()).iter().zip(of_kinds) {
                let subject = encoded_subject(change);
                let key = match &change.subject {
                    Subject::Key(record) => {
                        let key = RecordKey::new(record.tenant, record.key_id);
                        list(key.as_bytes())
                    }
                    _ => list(&[]),
                };
                let fields = [
                    "0700000000000000", // time
                    code,               // event
                    "01",
                    "0100000000000000",
                    "72", // request_id
                    &key,
                    &list(&subject),
                ]
                .concat();
                let version = match (&author, kind) {
                    (None, "00") => "01".to_owned(),
                    (None, "01") => "02".to_owned(),
                    _ => ["03", author_bytes, kind].concat(),
                };
                assert_eq!(hex(&encoded(change)), [version, fields].concat());
            }
            let change = with_digest(author.clone());
            let Subject::Key(record) = &change.subject else {
                panic!("of a key");
            };
            let key = RecordKey::new(record.tenant, record.key_id);
            let expected = [
                "04",
                &list(&samples::request_id().digest.to_bytes()),
                author_bytes,
                "00",               // a key
                "0700000000000000", // time
                "00",               // event
                "01",
                &list(b"deploy-1"), // request_id
                &list(key.as_bytes()),
                &list(&encoded_subject(&change)),
            ];
            assert_eq!(hex(&encoded(&change)), expected.concat());
        }
    }
}
