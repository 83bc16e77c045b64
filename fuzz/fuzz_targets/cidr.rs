//! Compares address blocks with a model that compares bit by bit.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use talos_fuzz::claims::any_cidr;
use talos_model::cidr::Cidr;

#[derive(Debug)]
struct Input {
    text: String,
    blocks: [Cidr; 2],
    address: IpAddr,
    /// Offset from the start of the first block.
    offset: u128,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self {
            blocks: [any_cidr(u)?, any_cidr(u)?],
            address: u.arbitrary()?,
            offset: u.arbitrary()?,
            text: u.arbitrary()?,
        })
    }
}

fuzz_target!(|input: Input| {
    if let Ok(block) = input.text.parse::<Cidr>() {
        has_one_spelling(block);
        let (address, prefix_len) = input.text.split_once('/').expect("a slash");
        let (address, prefix_len) = (address.parse().expect("an address"), prefix_len.parse());
        assert_eq!(
            Some(block),
            Cidr::new(address, prefix_len.expect("a length"))
        );
        assert!(block.contains(address), "{}", input.text);
    }
    let [one, other] = input.blocks;
    has_one_spelling(one);
    let (first, last) = ends(one);
    for address in [
        first,
        last,
        input.address,
        moved(first, input.offset),
        moved(last, 1),
        moved(first, u128::MAX),
    ] {
        assert_eq!(
            one.contains(address),
            lies_in(address, one),
            "{one} {address}"
        );
        let mapped = match address {
            IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
            IpAddr::V6(_) => address,
        };
        assert_eq!(
            one.contains(mapped),
            one.contains(address),
            "{one} {address}"
        );
    }
    // A block lies in another one if both of its ends do.
    let within = other.contains(first) && other.contains(last);
    assert_eq!(one.lies_within(&other), within, "{one} {other}");
    assert!(one.lies_within(&one));
});

fn has_one_spelling(block: Cidr) {
    let text = block.to_string();
    assert_eq!(text.parse(), Ok(block), "{text}");
    let (network, prefix_len) = block.parts();
    assert_eq!(text, format!("{network}/{prefix_len}"));
    assert_eq!(Cidr::new(network, prefix_len), Some(block));
}

/// The bits of an address. IPv4 addresses are mapped into IPv6.
fn bits(address: IpAddr) -> Vec<bool> {
    let octets = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let bits = octets
        .iter()
        .flat_map(|octet| (0..8).map(move |bit| octet & (0x80 >> bit) != 0));
    bits.collect()
}

fn lies_in(address: IpAddr, block: Cidr) -> bool {
    let (network, prefix_len) = block.parts();
    let prefix_len = match network {
        IpAddr::V4(_) => 96 + usize::from(prefix_len),
        IpAddr::V6(_) => usize::from(prefix_len),
    };
    let both = bits(address).into_iter().zip(bits(network));
    both.take(prefix_len).all(|(a, b)| a == b)
}

fn ends(block: Cidr) -> (IpAddr, IpAddr) {
    let (network, prefix_len) = block.parts();
    let last = match network {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() | host))
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() | host))
        }
    };
    (network, last)
}

fn moved(address: IpAddr, by: u128) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let by = u32::try_from(by & u128::from(u32::MAX)).expect("32 bits");
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits().wrapping_add(by)))
        }
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits().wrapping_add(by))),
    }
}
