//! Secrets of new keys whose answer was never sent, because no replica has acknowledged the key in
//! time or because the client has gone. A repetition of the request gets the secret for a short
//! time. Secrets stay in the memory of this node, and are wiped when they leave it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use talos_model::{KeyId, Principal, Proof, RecordKey, Secret};
use tokio::sync::Notify;

use crate::limits::{UNSENT_SECRET_AGE, UNSENT_SECRETS};

/// The principal of a request. Only a repetition by the same one gets the secret. `None` while
/// administrators are not authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker(Option<(String, Proof)>);

impl Asker {
    /// The asker whose principal this is.
    pub(crate) fn new(principal: Option<&Principal>) -> Self {
        Self(principal.map(|principal| (principal.name.clone(), principal.proof)))
    }
}

/// The secrets that were not sent.
#[derive(Debug, Default)]
pub(crate) struct UnsentSecrets {
    kept: Mutex<HashMap<RecordKey, Kept>>,
    added: Notify,
}

#[derive(Debug)]
struct Kept {
    secret: Secret,
    asker: Asker,
    /// When it is wiped.
    end: Instant,
}

impl UnsentSecrets {
    fn lock(&self) -> MutexGuard<'_, HashMap<RecordKey, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The secret of a new key, on its way to `asker`. Unless it is sent, it is kept.
    pub(crate) fn hold(
        self: &Arc<Self>,
        key: RecordKey,
        secret: Secret,
        asker: Asker,
    ) -> UnsentSecret {
        UnsentSecret {
            key,
            secret: Some(secret),
            home: Some((Arc::clone(self), asker)),
        }
    }

    /// Takes out the secret of a key whose first answer was not sent to `asker`.
    pub(crate) fn take(self: &Arc<Self>, key: &RecordKey, asker: Asker) -> Option<UnsentSecret> {
        self.take_at(Instant::now(), key, asker)
    }

    fn take_at(
        self: &Arc<Self>,
        now: Instant,
        key: &RecordKey,
        asker: Asker,
    ) -> Option<UnsentSecret> {
        let mut kept = self.lock();
        let is_for = |kept: &&Kept| kept.asker == asker && now < kept.end;
        kept.get(key).filter(is_for)?;
        let Kept { secret, .. } = kept.remove(key)?;
        drop(kept);
        Some(self.hold(*key, secret, asker))
    }

    fn keep(&self, now: Instant, key: RecordKey, secret: Secret, asker: Asker) {
        let mut kept = self.lock();
        if kept.len() >= UNSENT_SECRETS {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.end);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                kept.remove(&oldest);
            }
        }
        let end = now + UNSENT_SECRET_AGE;
        kept.insert(key, Kept { secret, asker, end });
        drop(kept);
        self.added.notify_one();
    }

    /// Wipes the secrets whose time is over. Returns when the next one is.
    fn wipe(&self, now: Instant) -> Option<Instant> {
        let mut kept = self.lock();
        kept.retain(|_, kept| now < kept.end);
        kept.values().map(|kept| kept.end).min()
    }

    /// Wipes each secret when its time is over. Never returns.
    pub(crate) async fn expire(&self) {
        loop {
            match self.wipe(Instant::now()) {
                Some(end) => tokio::time::sleep_until(end.into()).await,
                None => self.added.notified().await,
            }
        }
    }
}

/// A secret on its way to the client. Dropped without [`UnsentSecret::sent`], it is kept for a
/// repetition of the request, if the request can be repeated.
#[derive(Debug)]
pub(crate) struct UnsentSecret {
    key: RecordKey,
    secret: Option<Secret>,
    home: Option<(Arc<UnsentSecrets>, Asker)>,
}

impl UnsentSecret {
    /// The secret of a request that cannot be repeated, because it has no `request_id`.
    pub(crate) fn unrepeatable(key: RecordKey, secret: Secret) -> Self {
        Self {
            key,
            secret: Some(secret),
            home: None,
        }
    }

    /// What the client can do if this answer is not sent.
    pub(crate) fn remedy(&self) -> String {
        if self.home.is_some() {
            let minutes = UNSENT_SECRET_AGE.as_secs() / 60;
            return format!(
                "send the request again with its request_id within {minutes} minutes to get the secret of the key"
            );
        }
        let key_id = self.key_id().map(|key_id| key_id.to_string());
        format!(
            "the secret of the key {} is lost with this answer: rotate that key, or revoke it",
            key_id.unwrap_or_default()
        )
    }

    /// The key that the secret belongs to.
    pub(crate) fn key_id(&self) -> Option<KeyId> {
        RecordKey::split(self.key.as_bytes()).map(|(_, key_id)| key_id)
    }

    /// The secret itself, for the answer.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// The client has its answer.
    pub(crate) fn sent(mut self) {
        self.secret = None;
    }
}

impl Drop for UnsentSecret {
    fn drop(&mut self) {
        if let (Some(secret), Some((home, asker))) = (self.secret.take(), self.home.take()) {
            home.keep(Instant::now(), self.key, secret, asker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use talos_model::{Role, TenantId};

    use super::*;

    fn key(number: usize) -> RecordKey {
        let id = uuid::Uuid::from_u128(number as u128);
        RecordKey::new(TenantId::SINGLE, KeyId::Issued(id))
    }

    fn secret(number: usize) -> Secret {
        Secret::new(format!("secret {number}"))
    }

    fn nobody() -> Asker {
        Asker::new(None)
    }

    fn taken(unsent: &Arc<UnsentSecrets>, now: Instant, number: usize) -> Option<String> {
        let held = unsent.take_at(now, &key(number), nobody())?;
        let text = held.secret().expect("a secret").expose().to_owned();
        held.sent();
        Some(text)
    }

    #[test]
    fn only_what_was_not_sent_is_kept() {
        let unsent = Arc::new(UnsentSecrets::default());
        let now = Instant::now();
        let first = unsent.hold(key(1), secret(1), nobody());
        assert_eq!(taken(&unsent, now, 1), None, "the answer is under way");
        first.sent();
        assert_eq!(taken(&unsent, now, 1), None, "it was sent");
        drop(unsent.hold(key(1), secret(1), nobody()));
        let second = unsent.take_at(now, &key(1), nobody()).expect("a secret");
        assert!(unsent.take_at(now, &key(1), nobody()).is_none());
        drop(second);
        assert_eq!(taken(&unsent, now, 1).as_deref(), Some("secret 1"));
        assert_eq!(taken(&unsent, now, 1), None);
        drop(UnsentSecret::unrepeatable(key(2), secret(2)));
        assert!(unsent.lock().is_empty());
    }

    #[test]
    fn only_the_asker_gets_it() {
        let unsent = Arc::new(UnsentSecrets::default());
        let asker = |name: &str, proof| {
            Asker::new(Some(&Principal {
                name: name.to_owned(),
                proof,
                role: Role::Write,
                tenant: None,
            }))
        };
        let ci = || asker("ci", Proof::Token);
        drop(unsent.hold(key(1), secret(1), ci()));
        for other in [
            nobody(),
            asker("cd", Proof::Token),
            asker("ci", Proof::Certificate),
        ] {
            assert!(unsent.take(&key(1), other).is_none());
        }
        assert!(unsent.take(&key(1), ci()).is_some());
    }

    #[test]
    fn secrets_are_kept_for_a_short_time() {
        let unsent = Arc::new(UnsentSecrets::default());
        let now = Instant::now();
        unsent.keep(now, key(1), secret(1), nobody());
        let moment = Duration::from_millis(1);
        unsent.keep(now + moment, key(2), secret(2), nobody());
        let end = now + UNSENT_SECRET_AGE;
        let before = end.checked_sub(moment).expect("a time");
        assert_eq!(unsent.wipe(before), Some(end));
        assert_eq!(unsent.lock().len(), 2);
        assert_eq!(taken(&unsent, end, 1), None, "over, though not wiped yet");
        assert_eq!(unsent.wipe(end), Some(end + moment));
        assert_eq!(unsent.lock().len(), 1);
        assert_eq!(taken(&unsent, end, 2).as_deref(), Some("secret 2"));
        assert_eq!(unsent.wipe(end), None);
    }

    #[test]
    fn the_oldest_secret_gives_way() {
        let unsent = Arc::new(UnsentSecrets::default());
        let now = Instant::now();
        for number in 0..=UNSENT_SECRETS {
            let time = now + Duration::from_millis(number as u64);
            unsent.keep(time, key(number), secret(number), nobody());
        }
        assert_eq!(unsent.lock().len(), UNSENT_SECRETS);
        assert_eq!(taken(&unsent, now, 0), None);
        assert!(taken(&unsent, now, 1).is_some());
    }

    #[test]
    fn a_task_wipes_them() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let unsent = Arc::new(UnsentSecrets::default());
        let wiping = Arc::clone(&unsent);
        runtime.block_on(async {
            let task = tokio::spawn(async move { wiping.expire().await });
            tokio::task::yield_now().await;
            let now = Instant::now() + Duration::from_millis(50);
            let almost = now.checked_sub(UNSENT_SECRET_AGE).expect("a time");
            unsent.keep(almost, key(1), secret(1), nobody());
            while !unsent.lock().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            task.abort();
        });
    }
}
