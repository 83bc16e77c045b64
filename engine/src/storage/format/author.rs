//! The bytes of an author, as a part of a change.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use talos_model::{Author, Proof};
use wincode::{SchemaRead, SchemaWrite};

use crate::storage::error::StorageError;

/// A proof's code on disk is its index here.
const PROOFS: [Proof; 5] = [
    Proof::Token,
    Proof::BootstrapToken,
    Proof::Certificate,
    Proof::PeerCredentials,
    Proof::Credential,
];

/// The fields of an author.
#[derive(SchemaWrite, SchemaRead)]
pub struct AuthorV1 {
    name: String,
    proof: u8,
    address: Option<AddressV1>,
}

#[derive(SchemaWrite, SchemaRead)]
struct AddressV1 {
    family: u8,
    address: [u8; 16],
}

impl AuthorV1 {
    /// The fields of `author`.
    pub fn encode(author: &Author) -> Self {
        let proof = (0..).zip(PROOFS).find(|(_, proof)| *proof == author.proof);
        Self {
            name: author.name.clone(),
            proof: proof.map_or(0, |(code, _)| code),
            address: author.address.map(encode_address),
        }
    }

    /// The author with these fields.
    pub fn decode(self) -> Result<Author, StorageError> {
        let proof = PROOFS.get(usize::from(self.proof)).copied();
        let address = self.address.as_ref().map(decode_address);
        Ok(Author {
            name: self.name,
            proof: proof.ok_or(StorageError::Corrupt("an author's proof"))?,
            address: match address {
                Some(None) => return Err(StorageError::Corrupt("an author's address")),
                known => known.flatten(),
            },
        })
    }
}

fn encode_address(address: IpAddr) -> AddressV1 {
    match address {
        IpAddr::V4(v4) => AddressV1 {
            family: 4,
            address: u128::from(v4.to_bits()).to_be_bytes(),
        },
        IpAddr::V6(v6) => AddressV1 {
            family: 6,
            address: v6.octets(),
        },
    }
}

fn decode_address(address: &AddressV1) -> Option<IpAddr> {
    let bits = u128::from_be_bytes(address.address);
    match address.family {
        4 => Some(Ipv4Addr::from_bits(u32::try_from(bits).ok()?).into()),
        6 => Some(Ipv6Addr::from_bits(bits).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_survives_its_fields() {
        for proof in PROOFS {
            for address in [None, Some("192.0.2.1"), Some("2001:db8::1")] {
                let author = Author {
                    name: "ci".to_owned(),
                    proof,
                    address: address.map(|text| text.parse().unwrap()),
                };
                assert_eq!(AuthorV1::encode(&author).decode(), Ok(author));
            }
        }
    }

    #[test]
    fn unknown_codes_are_refused() {
        let fields = |proof, family, first| AuthorV1 {
            name: String::new(),
            proof,
            address: Some(AddressV1 {
                family,
                address: [first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            }),
        };
        assert!(fields(4, 4, 0).decode().is_ok());
        assert!(fields(5, 4, 0).decode().is_err(), "a proof");
        assert!(fields(0, 5, 0).decode().is_err(), "a family");
        assert!(fields(0, 4, 1).decode().is_err(), "a long IPv4 address");
    }
}
