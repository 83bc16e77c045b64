//! Random commands of every kind, on keys that exist, that existed once, and that never existed.

use talos_credentials::imported_key_id;
use talos_model::cidr::Cidr;
use talos_model::clock::UnixMillis;
use talos_model::{
    Author, CreateAdminToken, DeleteKey, FieldChanges, ImportKey, Matcher, Proof, RateLimitPolicy,
    RevokeAdminToken, RevokeWhere, Role, RotateAdminToken, RotateKey, TokenDigest, UpdateKey,
};
use uuid::Uuid;

use super::*;

pub(super) const TENANTS: [TenantId; 2] = [
    TenantId::SINGLE,
    TenantId(uuid::Uuid::from_u128(0xffff_ffff)),
];
pub(super) const ACTORS: [&str; 3] = ["a", "b", "a\0"];
/// The number of raw keys to import; small, so that they repeat.
const RAW_KEYS: u64 = 8;
/// The number of request ids; small, so that they repeat.
const REQUEST_IDS: u64 = 6;

/// A seeded generator (Marsaglia's xorshift64*), so that failures can be repeated.
#[derive(Debug)]
pub(in crate::scenarios) struct Random(u64);

impl Random {
    pub(in crate::scenarios) fn new(seed: u64) -> Self {
        // Adjacent seeds give distant states, and none gives zero, which the generator never
        // leaves.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(in crate::scenarios) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    /// True with a probability of 1 in `times`.
    pub(in crate::scenarios) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of `items`, which must not be empty.
    pub(in crate::scenarios) fn one_of<T: Clone>(&mut self, items: &[T]) -> T {
        let index = self.below(items.len() as u64);
        items[usize::try_from(index).expect("a small number")].clone()
    }

    /// `value` or `None`, equally often.
    pub(in crate::scenarios) fn maybe<T>(
        &mut self,
        value: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        self.once_in(2).then(|| value(self))
    }
}

/// The raw key number `n`, and its id in a tenant.
pub(super) fn raw_key(n: u64) -> String {
    format!("sk_live_{n}")
}

/// All raw keys that can be imported.
pub(super) fn raw_keys() -> impl Iterator<Item = String> {
    (0..RAW_KEYS).map(raw_key)
}

/// A random command; `known` are all keys and `tokens` all admin tokens that ever existed.
pub(super) fn any(random: &mut Random, known: &[(TenantId, KeyId)], tokens: &[Uuid]) -> Command {
    match random.below(20) {
        16..=19 => admin_token(random, tokens),
        0..=3 => Command::Issue(issue(random)),
        4..=5 => Command::Import(import(random)),
        6 => {
            let count = 1 + random.below(6);
            Command::ImportMany((0..count).map(|_| import(random)).collect())
        }
        7..=9 => {
            let (tenant, key_id) = target(random, known);
            let changes = changes(random);
            Command::Update(UpdateKey {
                tenant,
                key_id,
                changes,
            })
        }
        10..=11 => Command::Rotate(rotation(random, known)),
        12..=13 => {
            let (tenant, key_id) = target(random, known);
            let (reason, description) = reason(random);
            Command::Revoke(RevokeKey {
                tenant,
                key_id,
                reason,
                description,
            })
        }
        _ => {
            // The layers above delete only imported keys.
            let (tenant, key_id) = target(random, known);
            let key_id = match key_id {
                KeyId::Issued(_) => import(random).key_id,
                KeyId::Imported(_) => key_id,
            };
            Command::Delete(DeleteKey { tenant, key_id })
        }
    }
}

/// A random command of an admin token. Names repeat.
fn admin_token(random: &mut Random, tokens: &[Uuid]) -> Command {
    let ttl_ms = random.maybe(|random| 1 + random.below(20_000));
    let digest = TokenDigest([(); 32].map(|()| u8::try_from(random.below(256)).expect("a byte")));
    let id = match tokens {
        [.., last] if random.once_in(2) => *last,
        [] => Uuid::nil(),
        tokens => random.one_of(tokens),
    };
    match random.below(4) {
        0..=1 => Command::CreateAdminToken(CreateAdminToken {
            name: format!("token-{}", random.below(6)),
            digest,
            role: random.one_of(&Role::ALL),
            tenant: random.maybe(|random| random.one_of(&TENANTS)),
            ttl_ms,
        }),
        2 => Command::RotateAdminToken(RotateAdminToken { id, digest, ttl_ms }),
        _ => Command::RevokeAdminToken(RevokeAdminToken { id }),
    }
}

/// A random author of a command, or none.
pub(super) fn author(random: &mut Random) -> Option<Author> {
    let proofs = [
        Proof::Token,
        Proof::BootstrapToken,
        Proof::Certificate,
        Proof::PeerCredentials,
        Proof::Credential,
    ];
    let addresses = [None, Some("192.0.2.1"), Some("2001:db8::1")];
    random.maybe(|random| Author {
        name: format!("author-{}", random.below(4)),
        proof: random.one_of(&proofs),
        address: random
            .one_of(&addresses)
            .map(|text| text.parse().expect("an address")),
    })
}

/// A random bulk revocation.
pub(super) fn revoke_many(random: &mut Random, now: UnixMillis) -> RevokeWhere {
    let (reason, description) = reason(random);
    let mut matcher = Matcher::default();
    match random.below(4) {
        0 => matcher.actor_id = Some(random.one_of(&ACTORS).to_owned()),
        1 => matcher.scope = Some(format!("scope-{}", random.below(5))),
        2 => matcher.prefix = Some(random.one_of(&["talos", "pub", "none"]).to_owned()),
        _ => {
            let ago = i64::try_from(random.below(20_000)).expect("a short time");
            matcher.created_before = Some(UnixMillis(now.0 - ago));
        }
    }
    if random.once_in(4) {
        matcher.actor_id = Some(random.one_of(&ACTORS).to_owned());
    }
    if random.once_in(4) {
        matcher.metadata = vec![("team".to_owned(), random.below(2).to_string())];
    }
    RevokeWhere {
        tenant: random.one_of(&TENANTS),
        matcher,
        reason,
        description,
    }
}

/// Mostly a key that existed once; sometimes an id of another tenant or an unknown one.
fn target(random: &mut Random, known: &[(TenantId, KeyId)]) -> (TenantId, KeyId) {
    if known.is_empty() || random.once_in(12) {
        let id = uuid::Uuid::from_u128(u128::from(random.below(3)));
        return (random.one_of(&TENANTS), KeyId::Issued(id));
    }
    // Prefer the latest ones.
    let recent = known.len().saturating_sub(6);
    let (tenant, key_id) = if random.once_in(2) {
        random.one_of(&known[recent..])
    } else {
        random.one_of(known)
    };
    if random.once_in(12) {
        (random.one_of(&TENANTS), key_id)
    } else {
        (tenant, key_id)
    }
}

/// A key to issue, and a raw key that may be imported as such a key. Some have a request id: mostly
/// with the request that belongs to it, sometimes with another.
fn request(random: &mut Random) -> (IssueKey, String, Option<String>) {
    let key_and_raw = |random: &mut Random| -> (IssueKey, String) {
        (key(random), raw_key(random.below(RAW_KEYS)))
    };
    if !random.once_in(4) {
        let (key, raw) = key_and_raw(random);
        return (key, raw, None);
    }
    let number = random.below(REQUEST_IDS);
    let (key, raw) = if random.once_in(3) {
        key_and_raw(random)
    } else {
        key_and_raw(&mut Random::new(number))
    };
    (key, raw, Some(format!("request-{number}")))
}

fn issue(random: &mut Random) -> IssueKey {
    let (key, _, id) = request(random);
    match id {
        Some(id) => with_id(&id, key),
        None => key,
    }
}

fn key(random: &mut Random) -> IssueKey {
    let tenant = if random.once_in(4) {
        TENANTS[1]
    } else {
        TENANTS[0]
    };
    IssueKey {
        tenant,
        name: name(random),
        actor_id: random.one_of(&ACTORS).to_owned(),
        scopes: scopes(random),
        metadata: metadata(random),
        visibility: visibility(random),
        ttl_ms: random.maybe(|random| 1 + random.below(20_000)),
        rate_limit: random.maybe(policy),
        allowed_cidrs: cidrs(random),
        request_id: None,
    }
}

fn import(random: &mut Random) -> ImportKey {
    let (key, raw_key, id) = request(random);
    let import = ImportKey {
        key_id: imported_key_id(key.tenant, raw_key.as_bytes()),
        key,
    };
    match id {
        Some(id) => import_with_id(&id, import),
        None => import,
    }
}

fn rotation(random: &mut Random, known: &[(TenantId, KeyId)]) -> RotateKey {
    // The layers above rotate only issued keys.
    let issued: Vec<_> = known
        .iter()
        .filter(|(_, key_id)| matches!(key_id, KeyId::Issued(_)))
        .copied()
        .collect();
    let (tenant, key_id) = target(random, &issued);
    RotateKey {
        tenant,
        key_id,
        changes: changes(random),
        visibility: random.maybe(visibility),
    }
}

/// Random changes: each field stays, is cleared, or gets a value.
fn changes(random: &mut Random) -> FieldChanges {
    FieldChanges {
        name: random.maybe(name),
        scopes: random.maybe(scopes),
        metadata: random.maybe(metadata),
        rate_limit: random.maybe(|random| random.maybe(policy)),
        allowed_cidrs: random.maybe(cidrs),
    }
}

fn name(random: &mut Random) -> String {
    format!("name-{}", random.below(1000))
}

fn scopes(random: &mut Random) -> Vec<String> {
    let count = random.below(3);
    (0..count)
        .map(|_| format!("scope-{}", random.below(5)))
        .collect()
}

fn metadata(random: &mut Random) -> String {
    match random.below(3) {
        0 => String::new(),
        n => format!("{{\"n\":{n},\"team\":\"{}\"}}", random.below(2)),
    }
}

fn visibility(random: &mut Random) -> Visibility {
    random.one_of(&[Visibility::Secret, Visibility::Public])
}

fn policy(random: &mut Random) -> RateLimitPolicy {
    RateLimitPolicy {
        quota: 1 + random.below(100),
        window_s: 1 + random.below(60),
    }
}

fn cidrs(random: &mut Random) -> Vec<Cidr> {
    let blocks = ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32", "0.0.0.0/0"];
    let count = random.below(5).saturating_sub(2);
    let block = |_| random.one_of(&blocks).parse().expect("a block");
    (0..count).map(block).collect()
}

fn reason(random: &mut Random) -> (RevocationReason, String) {
    match random.below(5) {
        0 => (RevocationReason::Unspecified, String::new()),
        1 => (RevocationReason::KeyCompromise, String::new()),
        2 => (RevocationReason::AffiliationChanged, String::new()),
        3 => (RevocationReason::Superseded, String::new()),
        n => (RevocationReason::PrivilegeWithdrawn, format!("words {n}")),
    }
}
