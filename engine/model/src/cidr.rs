//! Blocks of IP addresses (RFC 4632, RFC 4291).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The length in bits of the prefix `::ffff:0:0` of all IPv4-mapped IPv6 addresses.
const V4_IN_V6_BITS: u8 = 96;

/// A block of addresses. The bits after the prefix are zero, so a block has one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix_len: u8,
}

/// A text that is not `address/prefix-length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a CIDR block such as 10.0.0.0/8 or 2001:db8::/32")]
pub struct InvalidCidr;

impl Cidr {
    /// The block of `prefix_len` leading bits that contains `address`. `None` if the prefix is
    /// longer than the address.
    #[must_use]
    pub fn new(address: IpAddr, prefix_len: u8) -> Option<Self> {
        let network = match address {
            IpAddr::V4(v4) if prefix_len <= 32 => {
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask_v4(prefix_len)))
            }
            IpAddr::V6(v6) if prefix_len <= 128 => {
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask_v6(prefix_len)))
            }
            _ => return None,
        };
        Some(Self {
            network,
            prefix_len,
        })
    }

    /// Whether `address` lies in the block. An IPv4-mapped IPv6 address counts as its IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(v4)) => {
                v4.to_bits() & mask_v4(self.prefix_len) == network.to_bits()
            }
            (IpAddr::V6(network), IpAddr::V6(v6)) => {
                v6.to_bits() & mask_v6(self.prefix_len) == network.to_bits()
            }
            (IpAddr::V6(network), IpAddr::V4(v4)) => {
                v4.to_ipv6_mapped().to_bits() & mask_v6(self.prefix_len) == network.to_bits()
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }

    /// Whether `outer` contains every address of this block. IPv4 blocks are compared as blocks of
    /// IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2), which agrees with [`Cidr::contains`].
    #[must_use]
    pub fn lies_within(&self, outer: &Self) -> bool {
        let as_v6 = |block: &Self| match block.network {
            IpAddr::V4(network) => (
                network.to_ipv6_mapped().to_bits(),
                V4_IN_V6_BITS + block.prefix_len,
            ),
            IpAddr::V6(network) => (network.to_bits(), block.prefix_len),
        };
        let ((inner, inner_len), (outer, outer_len)) = (as_v6(self), as_v6(outer));
        inner_len >= outer_len && inner & mask_v6(outer_len) == outer
    }

    /// The first address of the block and the prefix length in bits.
    #[must_use]
    pub fn parts(&self) -> (IpAddr, u8) {
        (self.network, self.prefix_len)
    }
}

/// Whether a restriction to `blocks` admits `address`: `blocks` is empty, or one of them contains
/// the address. No block contains an unknown address (`None`).
#[inline]
#[must_use]
pub fn allow(blocks: &[Cidr], address: Option<IpAddr>) -> bool {
    blocks.is_empty()
        || address.is_some_and(|address| blocks.iter().any(|block| block.contains(address)))
}

fn mask_v4(prefix_len: u8) -> u32 {
    u32::MAX
        .checked_shl(32 - u32::from(prefix_len))
        .unwrap_or(0)
}

fn mask_v6(prefix_len: u8) -> u128 {
    u128::MAX
        .checked_shl(128 - u32::from(prefix_len))
        .unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let (address, prefix_len) = text.split_once('/').ok_or(InvalidCidr)?;
        if prefix_len.is_empty()
            || prefix_len.len() > 3
            || !prefix_len.bytes().all(|c| c.is_ascii_digit())
        {
            return Err(InvalidCidr);
        }
        let address: IpAddr = address.parse().map_err(|_| InvalidCidr)?;
        let prefix_len: u8 = prefix_len.parse().map_err(|_| InvalidCidr)?;
        Self::new(address, prefix_len).ok_or(InvalidCidr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_len)
    }
}

#[cfg(test)]
mod tests {
    use crate::cidr::*;

    fn contains(block: &str, address: &str) -> bool {
        let block: Cidr = block.parse().expect("a block");
        block.contains(address.parse().expect("an address"))
    }

    #[test]
    fn membership() {
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("0.0.0.0/0", "255.255.255.255"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(contains("::/0", "1.2.3.4"));
        assert!(contains("::ffff:10.0.0.0/104", "10.9.9.9"));
        assert!(contains("192.0.2.7/32", "192.0.2.7"));
        assert!(!contains("192.0.2.7/32", "192.0.2.6"));
    }

    #[test]
    fn one_spelling_and_no_other_forms() {
        assert_eq!(
            "10.1.2.3/8".parse::<Cidr>().map(|c| c.to_string()),
            Ok("10.0.0.0/8".to_owned())
        );
        for text in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "/8",
            "a/8",
            "1.1.1.1/0x8",
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(InvalidCidr), "{text}");
        }
    }

    #[test]
    fn blocks_within_blocks() {
        for (inner, outer, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.1.0.0/16", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.1.0.0/16", false),
            ("11.0.0.0/16", "10.0.0.0/8", false),
            ("0.0.0.0/0", "::/0", true),
            ("::/0", "0.0.0.0/0", false),
            ("0.0.0.0/0", "::ffff:0:0/96", true),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8", true),
            ("2001:db8::1/128", "2001:db8::/32", true),
            ("2001:db9::/32", "2001:db8::/32", false),
        ] {
            let block = |text: &str| text.parse::<Cidr>().expect("a block");
            let within = block(inner).lies_within(&block(outer));
            assert_eq!(within, expected, "{inner} in {outer}");
        }
    }
}
