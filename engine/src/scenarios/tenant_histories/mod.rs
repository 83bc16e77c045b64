//! Random histories of three tenants against a model of maps, one for each tenant.
//!
//! Two of the tenants have the same secret, prefix and issuer. Tenants are removed and come back,
//! and their secrets, issuers and quotas change. After every step each credential is verified in
//! each tenant. Seeds are those of the [model of one tenant](super::model).

mod checks;
mod commands;
mod model;

use super::model::commands::Random;
use super::model::{FailureReport, seeds};
use super::*;
use model::{Held, Kind, Owner};

const HISTORIES: u64 = 6;
const STEPS: u64 = 60;
const SECRETS: [&str; 3] = ["shared", "own", "another"];
const ISSUERS: [&str; 2] = ["issuer", "elsewhere"];
/// What a token shows.
const TOKEN: &str = "token of actor";

fn rendered(tenant: TenantId, name: &str, issuer: &str) -> String {
    format!("{tenant} {name} {issuer}")
}

struct History {
    random: Random,
    scratch: tempfile::TempDir,
    engine: Option<Arc<Engine>>,
    owners: [Owner; 3],
    held: Vec<Held>,
}

#[test]
fn random_histories_of_tenants_agree_with_the_model() {
    for seed in seeds(HISTORIES) {
        let mut history = History::begin(seed);
        for step in 0..STEPS {
            let _report = FailureReport { seed, step };
            history.step();
            history.check();
        }
        let _report = FailureReport { seed, step: STEPS };
        history.bring_back_all();
        history.check();
    }
}

impl History {
    fn begin(seed: u64) -> Self {
        let id = |n| TENANTS[n];
        let mut history = Self {
            random: Random::new(seed),
            scratch: tempfile::tempdir().expect("a scratch directory"),
            engine: None,
            owners: [
                Owner::new(id(1), SECRETS[0], ISSUERS[0], "talos"),
                Owner::new(id(2), SECRETS[0], ISSUERS[0], "talos"),
                Owner::new(id(3), SECRETS[1], ISSUERS[1], "bee"),
            ],
            held: Vec::new(),
        };
        for n in 0..3 {
            history.held.push(Held {
                kind: Kind::Raw,
                text: format!("sk_live_{n}"),
                tenant: id(1),
                secret: "",
                issuer: "",
            });
        }
        history.open();
        history
    }

    fn open(&mut self) {
        self.engine = None;
        let mut settings = options(self.scratch.path());
        settings.cache_bytes = self.random.one_of(&[0, 8 << 10, 1 << 20]);
        settings.shards = Some(2);
        settings.render =
            |record, issuer| rendered(record.tenant, &record.name, issuer).into_bytes();
        settings.tenants = self.present();
        self.engine = Some(Engine::open(settings).expect("a database"));
    }

    fn engine(&self) -> Arc<Engine> {
        Arc::clone(self.engine.as_ref().expect("an open engine"))
    }

    /// The tenants of the engine.
    fn present(&self) -> Vec<Arc<Tenant>> {
        let present = self.owners.iter().filter(|owner| owner.is_present);
        present.map(Owner::tenant).collect()
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0..=8 => self.command(),
            9 => self.revoke_where(),
            10 => self.self_revocation(),
            11 => self.derive(),
            12..=14 => self.change_a_tenant(),
            _ => self.open(),
        }
    }

    /// Removes a tenant, adds it again, or changes its settings.
    fn change_a_tenant(&mut self) {
        let n = usize::try_from(self.random.below(3)).expect("a small number");
        let owner = &mut self.owners[n];
        match self.random.below(6) {
            0..=2 => owner.is_present = !owner.is_present,
            3 => {
                let secret = self.random.one_of(&SECRETS);
                let before = std::mem::replace(&mut owner.secrets, vec![secret]);
                if self.random.once_in(2) {
                    owner.secrets.extend(before);
                }
                owner.renew_keyring();
            }
            4 => {
                owner.issuer = self.random.one_of(&ISSUERS);
                owner.renew_keyring();
            }
            _ => {
                let max = self.random.below(8);
                owner.live_keys_max = (max > 0).then_some(max);
            }
        }
        let mut present = self.present();
        if self.random.once_in(2) {
            present.reverse();
        }
        self.engine().set_tenants(present);
    }

    fn bring_back_all(&mut self) {
        for owner in &mut self.owners {
            owner.is_present = true;
        }
        self.engine().set_tenants(self.present());
    }
}
