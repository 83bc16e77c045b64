//! Claims of derived tokens, with any values that a key and its holder can set.

use arbitrary::{Arbitrary, Result, Unstructured};
use serde_json::{Map, Number, Value};
use talos_credentials::token::{Claims, CustomClaims};
use talos_model::cidr::Cidr;
use talos_model::{KeyId, TenantId, Visibility};
use uuid::Uuid;

/// Claims made from the fuzzer's bytes.
#[derive(Debug)]
pub struct AnyClaims(pub Claims);

impl<'a> Arbitrary<'a> for AnyClaims {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let key_id = if u.arbitrary()? {
            KeyId::Issued(Uuid::from_u128(u.arbitrary()?))
        } else {
            KeyId::Imported(u.arbitrary()?)
        };
        let metadata = if u.arbitrary()? {
            Value::Object(object(u, 0)?).to_string()
        } else {
            String::new()
        };
        Ok(Self(Claims {
            issuer: u.arbitrary()?,
            key_id,
            issued_at_s: any_seconds(u)?,
            not_before_s: any_seconds(u)?,
            expires_at_s: any_seconds(u)?,
            token_id: u.arbitrary()?,
            tenant: TenantId(Uuid::from_u128(u.arbitrary()?)),
            actor_id: u.arbitrary()?,
            scopes: u.arbitrary()?,
            metadata,
            visibility: if u.arbitrary()? {
                Visibility::Public
            } else {
                Visibility::Secret
            },
            allowed_cidrs: any_cidrs(u)?,
            audiences: u.arbitrary()?,
            custom: CustomClaims::new(object(u, 0)?),
        }))
    }
}

/// Mostly times of this century, sometimes any number.
///
/// # Errors
/// When the fuzzer's bytes are used up.
pub fn any_seconds(u: &mut Unstructured<'_>) -> Result<i64> {
    if u.ratio(1, 8)? {
        return u.arbitrary();
    }
    Ok(1_700_000_000 + i64::from(u.arbitrary::<i16>()?))
}

/// Blocks of both families, often one within the other.
///
/// # Errors
/// When the fuzzer's bytes are used up.
pub fn any_cidrs(u: &mut Unstructured<'_>) -> Result<Vec<Cidr>> {
    let count = u.int_in_range(0..=3)?;
    (0..count).map(|_| any_cidr(u)).collect()
}

/// One block.
///
/// # Errors
/// When the fuzzer's bytes are used up.
pub fn any_cidr(u: &mut Unstructured<'_>) -> Result<Cidr> {
    let address = if u.ratio(1, 4)? {
        // An IPv4-mapped IPv6 address.
        std::net::Ipv4Addr::from_bits(u.arbitrary()?)
            .to_ipv6_mapped()
            .into()
    } else {
        u.arbitrary()?
    };
    let bits = match address {
        std::net::IpAddr::V4(_) => 32,
        std::net::IpAddr::V6(_) => 128,
    };
    let prefix_len = u.int_in_range(0..=bits)?;
    Cidr::new(address, prefix_len).ok_or(arbitrary::Error::IncorrectFormat)
}

fn object(u: &mut Unstructured<'_>, depth: usize) -> Result<Map<String, Value>> {
    let count = u.int_in_range(0..=4)?;
    (0..count)
        .map(|_| Ok((u.arbitrary()?, value(u, depth + 1)?)))
        .collect()
}

fn value(u: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    let deepest = if depth < 40 { 7 } else { 5 };
    Ok(match u.int_in_range(0..=deepest)? {
        0 => Value::Null,
        1 => Value::Bool(u.arbitrary()?),
        2 => Value::from(u.arbitrary::<i64>()?),
        3 => Value::from(u.arbitrary::<u64>()?),
        4 => Number::from_f64(u.arbitrary()?).map_or(Value::Null, Value::Number),
        5 => Value::String(u.arbitrary()?),
        6 => {
            let count = u.int_in_range(0..=3)?;
            let items: Result<Vec<Value>> = (0..count).map(|_| value(u, depth + 1)).collect();
            Value::Array(items?)
        }
        _ => Value::Object(object(u, depth)?),
    })
}
