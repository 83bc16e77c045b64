//! Makes the keys of a run: issues them, revokes some, and invents credentials that nobody issued.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use monoio::{FusionDriver, RuntimeBuilder};
use serde_json::Value;

use crate::client::Connection;
use crate::error::LoadError;
use crate::mix::{Class, Random, Shares, Workload};
use crate::target::Target;

/// Connections while making keys; the server makes the keys of all of them durable together.
const SEED_CONNECTIONS: usize = 64;
/// Invented credentials: few of them are enough, because a server must not remember them.
const UNKNOWN_MAX: u32 = 10_000;

/// How many keys of each kind a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Keys to issue.
    pub issued: u32,
    /// How many of these to revoke.
    pub revoked: u32,
    /// Credentials to invent.
    pub unknown: u32,
}

impl Counts {
    /// Divides `keys` by the shares; every class with a share gets at least one.
    #[must_use]
    pub fn divide(keys: u32, shares: &Shares) -> Self {
        let of_keys = |share: u32| {
            let part = u64::from(keys) * u64::from(share) / u64::from(shares.total());
            u32::try_from(part)
                .unwrap_or(keys)
                .max(u32::from(share > 0))
        };
        let revoked = if shares.valid == 0 {
            keys
        } else {
            of_keys(shares.revoked).min(keys - 1)
        };
        Self {
            issued: keys,
            revoked,
            unknown: of_keys(shares.unknown).min(UNKNOWN_MAX),
        }
    }
}

#[derive(Clone, Debug)]
struct Issued {
    key_id: String,
    secret: String,
}

/// Makes the keys on the server and the requests that use them.
///
/// # Errors
/// When the server refuses, a connection breaks, or the run is interrupted.
pub fn seed(
    target: &Target,
    counts: Counts,
    seed: u64,
    interrupted: &AtomicBool,
) -> Result<Workload, LoadError> {
    let mut runtime = RuntimeBuilder::<FusionDriver>::new()
        .build()
        .map_err(LoadError::io("starting the thread that makes keys"))?;
    let stop = || interrupted.load(Ordering::Relaxed);
    let issued = runtime.block_on(issue(target, counts.issued, &stop))?;
    let revoked = usize::try_from(counts.revoked)
        .unwrap_or(usize::MAX)
        .min(issued.len());
    let (to_revoke, to_keep) = issued.split_at(revoked);
    runtime.block_on(revoke(target, to_revoke, &stop))?;

    let mut workload = Workload::default();
    for key in to_keep {
        workload.add(&target.host, Class::Valid, &key.secret, Some(&key.key_id));
    }
    for key in to_revoke {
        workload.add(&target.host, Class::Revoked, &key.secret, None);
    }
    let mut random = Random::new(seed, u64::MAX);
    for (index, key) in (0..counts.unknown).zip(issued.iter().cycle()) {
        let credential = if index % 2 == 0 {
            with_wrong_checksum(&key.secret)
        } else {
            foreign(&mut random)
        };
        workload.add(&target.host, Class::Unknown, &credential, None);
    }
    Ok(workload)
}

/// The credential with another last character: its shape is right, its checksum is not.
fn with_wrong_checksum(secret: &str) -> String {
    let mut changed = secret.to_owned();
    let other = if changed.pop() == Some('2') { '3' } else { '2' };
    changed.push(other);
    changed
}

/// A credential in the shape of another system's keys.
fn foreign(random: &mut Random) -> String {
    format!("sk_live_{:016x}{:016x}", random.next(), random.next())
}

async fn issue(
    target: &Target,
    count: u32,
    stop: &impl Fn() -> bool,
) -> Result<Vec<Issued>, LoadError> {
    let made = RefCell::new(Vec::with_capacity(
        usize::try_from(count).unwrap_or_default(),
    ));
    let left = Cell::new(count);
    in_parallel(target, async |connection: &mut Connection| {
        while left.get() > 0 && !stop() {
            let number = left.get();
            left.set(number - 1);
            let body = format!(
                r#"{{"name":"load {number}","actor_id":"loadtest","scopes":["read","write"]}}"#
            );
            let request = post(target, "/v2alpha1/admin/issuedApiKeys", &body);
            let doing = "issuing a key";
            let answer = connection
                .exchange(&request)
                .await
                .map_err(LoadError::io(doing))?;
            let parsed = (answer.status == 201)
                .then(|| issued_from(answer.body))
                .flatten();
            let key = parsed.ok_or_else(|| LoadError::Refused {
                doing,
                status: answer.status,
                body: String::from_utf8_lossy(answer.body).into_owned(),
            })?;
            made.borrow_mut().push(key);
        }
        Ok(())
    })
    .await?;
    if stop() {
        Err(LoadError::Interrupted)
    } else {
        Ok(made.into_inner())
    }
}

fn issued_from(body: &[u8]) -> Option<Issued> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let key_id = body
        .get("issued_api_key")?
        .get("key_id")?
        .as_str()?
        .to_owned();
    Some(Issued {
        key_id,
        secret: body.get("secret")?.as_str()?.to_owned(),
    })
}

async fn revoke(
    target: &Target,
    keys: &[Issued],
    stop: &impl Fn() -> bool,
) -> Result<(), LoadError> {
    let left: RefCell<VecDeque<&Issued>> = RefCell::new(keys.iter().collect());
    let next = || left.borrow_mut().pop_front();
    in_parallel(target, async |connection: &mut Connection| {
        while let Some(key) = next().filter(|_| !stop()) {
            let path = format!("/v2alpha1/admin/issuedApiKeys/{}:revoke", key.key_id);
            let request = post(
                target,
                &path,
                r#"{"reason":"REVOCATION_REASON_SUPERSEDED"}"#,
            );
            let doing = "revoking a key";
            let answer = connection
                .exchange(&request)
                .await
                .map_err(LoadError::io(doing))?;
            if answer.status != 200 {
                let body = String::from_utf8_lossy(answer.body).into_owned();
                return Err(LoadError::Refused {
                    doing,
                    status: answer.status,
                    body,
                });
            }
        }
        Ok(())
    })
    .await?;
    if stop() {
        Err(LoadError::Interrupted)
    } else {
        Ok(())
    }
}

/// Runs `work` on every connection at the same time, on this thread; the first error is the result.
async fn in_parallel(
    target: &Target,
    work: impl AsyncFn(&mut Connection) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let work = Rc::new(work);
    let mut running: Vec<_> = (0..SEED_CONNECTIONS)
        .map(|_| {
            let (work, address) = (Rc::clone(&work), target.address);
            Box::pin(async move { work(&mut Connection::new(address)).await })
        })
        .collect();
    std::future::poll_fn(|context| {
        let mut index = 0;
        while let Some(future) = running.get_mut(index) {
            match future.as_mut().poll(context) {
                std::task::Poll::Ready(Ok(())) => drop(running.swap_remove(index)),
                std::task::Poll::Ready(Err(error)) => return std::task::Poll::Ready(Err(error)),
                std::task::Poll::Pending => index += 1,
            }
        }
        if running.is_empty() {
            std::task::Poll::Ready(Ok(()))
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

fn post(target: &Target, path: &str, body: &str) -> Vec<u8> {
    let host = &target.host;
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_with_a_share_has_keys() {
        let shares = |valid, revoked, unknown| Shares {
            valid,
            revoked,
            unknown,
        };
        let counts = |issued, revoked, unknown| Counts {
            issued,
            revoked,
            unknown,
        };
        assert_eq!(
            Counts::divide(10_000, &shares(80, 10, 10)),
            counts(10_000, 1000, 1000)
        );
        assert_eq!(Counts::divide(10, &shares(998, 1, 1)), counts(10, 1, 1));
        assert_eq!(Counts::divide(10, &shares(0, 1, 0)), counts(10, 10, 0));
        assert_eq!(
            Counts::divide(10, &shares(1, 1_000_000, 0)),
            counts(10, 9, 0)
        );
        assert_eq!(Counts::divide(10, &shares(1, 0, 0)), counts(10, 0, 0));
    }

    #[test]
    fn an_invented_credential_differs_from_the_real_one() {
        assert_eq!(with_wrong_checksum("ory_ak_v1_a_b"), "ory_ak_v1_a_2");
        assert_eq!(with_wrong_checksum("ory_ak_v1_a_2"), "ory_ak_v1_a_3");
        assert!(foreign(&mut Random::new(1, 0)).starts_with("sk_live_"));
    }
}
