//! Shared by the benches: an engine on a scratch directory, and keys in it.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot measure stops"
)]

use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use talos_credentials::token::{CustomClaims, SigningKeys, TokenType};
use talos_credentials::{DeriveToken, Keyring, KeyringSettings, Tenant, TokenSettings};
use talos_engine::{Engine, Options, VerifyStep};
use talos_model::{
    Answer, CacheMode, CacheStatus, Command, CommandError, IssueKey, ListQuery, Outcome, Page,
    Record, TenantId, Verdict,
};
use talos_test_kit::engine::{change_tenant, keyring_settings, new_key, options, query, verify};

/// Commands that wait for the committer at the same time.
const BATCH: usize = 1024;

/// An engine and the directory that it lives in.
pub struct Scratch {
    /// The engine. It is closed before the directory is removed.
    pub engine: Arc<Engine>,
    directory: tempfile::TempDir,
}

/// The private key of RFC 8037 appendix A.1.
const ED25519_JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// The private key of RFC 7520 §3.4, of 2048 bits.
const RSA_JWK: &str = include_str!(
    "../../engine/credentials/src/token/vectors/jose-cookbook/3_4.rsa_private_key.json"
);
static SIGNING_KEYS: LazyLock<Arc<SigningKeys>> = LazyLock::new(|| {
    let keys = SigningKeys::from_jwk_sets([ED25519_JWK, RSA_JWK]);
    Arc::new(keys.expect("signing keys"))
});

/// A kind of derived token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenKind {
    /// Its name in reports.
    pub name: &'static str,
    token_type: TokenType,
    /// The `kid` of the key that signs it, if several keys can.
    signing_key_id: Option<&'static str>,
}

/// Every kind of derived token.
pub const TOKEN_KINDS: [TokenKind; 3] = [
    TokenKind {
        name: "JWT, EdDSA",
        token_type: TokenType::Jwt,
        signing_key_id: Some("ed25519"),
    },
    TokenKind {
        name: "JWT, RS256",
        token_type: TokenType::Jwt,
        signing_key_id: Some("bilbo.baggins@hobbiton.example"),
    },
    TokenKind {
        name: "macaroon",
        token_type: TokenType::Macaroon,
        signing_key_id: None,
    },
];

/// Secrets, prefixes and signing keys of a small installation.
#[must_use]
pub fn keyring() -> Keyring {
    keyring_that_signs_with(None)
}

/// Like [`keyring`], but new tokens are signed with the key that has this `kid`.
#[must_use]
pub fn keyring_that_signs_with(kid: Option<&str>) -> Keyring {
    Keyring::new(KeyringSettings {
        clock_skew_s: 300,
        tokens: TokenSettings {
            signing_keys: Arc::clone(&SIGNING_KEYS),
            signing_key_id: kid.map(str::to_owned),
            ..TokenSettings::default()
        },
        ..keyring_settings()
    })
}

impl Scratch {
    /// An empty engine whose cells may take `cache_bytes`.
    ///
    /// # Panics
    /// When no database can be made.
    #[must_use]
    pub fn new(cache_bytes: usize) -> Self {
        Self::on(
            tempfile::tempdir().expect("a scratch directory"),
            cache_bytes,
        )
    }

    /// Opens the database in `directory`.
    ///
    /// # Panics
    /// When the database does not open.
    #[must_use]
    pub fn on(directory: tempfile::TempDir, cache_bytes: usize) -> Self {
        let options = Options {
            block_cache_bytes: 256 << 20,
            write_buffer_bytes: 128 << 20,
            table_memory: talos_engine::TableMemory::Beside,
            cache_bytes,
            tenants: vec![Arc::new(Tenant::new(TenantId::SINGLE, keyring(), 86_400))],
            ..options(directory.path())
        };
        Self {
            engine: Engine::open(options).expect("a database"),
            directory,
        }
    }

    /// Closes the engine and keeps the directory.
    #[must_use]
    pub fn close(self) -> tempfile::TempDir {
        drop(self.engine);
        self.directory
    }

    /// Issues `count` keys and returns their credentials.
    ///
    /// # Panics
    /// When a key is not issued.
    #[must_use]
    pub fn issue(&self, count: usize) -> Vec<String> {
        let outcomes = self.run((0..count).map(|n| Command::Issue(key(n))));
        let credential = |outcome| match outcome {
            Outcome::Issued {
                secret: Some(secret),
                ..
            } => secret.expose().to_owned(),
            other => panic!("not issued: {other:?}"),
        };
        outcomes.map(credential).collect()
    }

    /// Issues one key and returns its record.
    ///
    /// # Panics
    /// When the key is not issued.
    #[must_use]
    pub fn issue_one(&self) -> Record {
        match self.run([Command::Issue(key(0))]).next() {
            Some(Outcome::Issued { record, .. }) => record,
            other => panic!("not issued: {other:?}"),
        }
    }

    /// Replaces the keyring. Nothing that was proven before stays proven.
    pub fn set_keyring(&self, keyring: Keyring) {
        change_tenant(&self.engine, |tenant| tenant.keyring = Arc::new(keyring));
    }

    /// Makes the keyring sign tokens of this kind.
    pub fn sign_with(&self, kind: TokenKind) {
        self.set_keyring(keyring_that_signs_with(kind.signing_key_id));
    }

    /// Derives a token. Call [`Scratch::sign_with`] for its kind first.
    ///
    /// # Panics
    /// When the token is not derived.
    #[must_use]
    pub fn derive(&self, parent: &Record, kind: TokenKind) -> String {
        let wanted = DeriveToken {
            token_type: kind.token_type,
            ttl_ms: None,
            scopes: vec!["read:orders".to_owned()],
            audiences: Vec::new(),
            custom: CustomClaims::default(),
        };
        let derived = self.engine.derive(parent, wanted, None);
        derived.expect("a token").token.expose().to_owned()
    }

    /// Runs commands, up to 1024 at the same time. Returns their outcomes in order.
    ///
    /// # Panics
    /// When a command is refused.
    pub fn run(
        &self,
        commands: impl IntoIterator<Item = Command>,
    ) -> impl Iterator<Item = Outcome> {
        let mut commands = commands.into_iter();
        std::iter::from_fn(move || {
            let (sender, receiver) = channel();
            for command in commands.by_ref().take(BATCH) {
                let sender = sender.clone();
                submit(&self.engine, command, move |outcome| {
                    sender.send(outcome).expect("a receiver");
                });
            }
            drop(sender);
            let outcomes: Vec<_> = receiver
                .iter()
                .map(|outcome| outcome.unwrap_or_else(|error| panic!("refused: {error}")))
                .collect();
            (!outcomes.is_empty()).then_some(outcomes)
        })
        .flatten()
    }

    /// Reads a page on a disk thread.
    ///
    /// # Panics
    /// When the page cannot be read.
    #[must_use]
    pub fn list(&self, query: ListQuery) -> Page {
        let (sender, receiver) = channel();
        self.engine.list(query, move |page| {
            sender.send(page).expect("a receiver");
        });
        let page = receiver.recv().expect("an answer");
        page.unwrap_or_else(|error| panic!("no page: {error}"))
    }

    /// Verifies a key that is valid and in memory. Replaces the content of `answer` by the body of
    /// the answer.
    ///
    /// # Panics
    /// When the key is not valid, or not in memory.
    pub fn verify_into(&self, credential: &str, answer: &mut Vec<u8>) {
        let query = query(credential, CacheMode::Use);
        let step = self.engine.verify(&query, |found| match found.verdict {
            Verdict::Valid { body, .. } => {
                answer.clear();
                answer.extend_from_slice(body);
            }
            other => panic!("not valid: {other:?}"),
        });
        assert!(matches!(step, VerifyStep::Answered(())), "not in memory");
    }

    /// Loads all keys into the cells. Returns when the memory of the cells has not grown for 200
    /// ms.
    ///
    /// # Panics
    /// When the thread cannot be started.
    pub fn warm_up(&self) {
        const STILL: usize = 20;
        let before = self.engine.cache_used_bytes();
        self.engine.warm_up().expect("a thread");
        let (mut used, mut still) = (before, 0);
        while still < STILL {
            std::thread::sleep(Duration::from_millis(10));
            let now = self.engine.cache_used_bytes();
            still = if now == used && now > before {
                still + 1
            } else {
                0
            };
            used = now;
        }
    }

    /// Verifies a key that is valid. Returns where the answer came from.
    ///
    /// # Panics
    /// When the key is not valid, or its record is on disk only.
    #[must_use]
    pub fn verify_from(&self, credential: &str) -> CacheStatus {
        let step = self
            .engine
            .verify(&query(credential, CacheMode::Use), |found| {
                (found.cache, is_valid(found))
            });
        match step {
            VerifyStep::Answered((cache, true)) => cache,
            _ => panic!("not valid, or not in memory"),
        }
    }

    /// Verifies a credential, and waits for the disk if necessary. Returns whether it is valid.
    ///
    /// # Panics
    /// When the engine does not answer.
    #[must_use]
    pub fn verify(&self, credential: &str, cache: CacheMode) -> bool {
        verify(&self.engine, &query(credential, cache), is_valid)
    }
}

fn submit(
    engine: &Engine,
    command: Command,
    done: impl FnOnce(Result<Outcome, CommandError>) + Send + 'static,
) {
    engine.submit(command, done);
}

fn is_valid(answer: Answer<'_>) -> bool {
    matches!(answer.verdict, Verdict::Valid { body, .. } if !body.is_empty())
}

/// Key number `n`, of the usual size: its record takes about 300 bytes.
#[must_use]
pub fn key(n: usize) -> IssueKey {
    IssueKey {
        actor_id: format!("user_{}", n % 1000),
        scopes: vec!["read:orders".to_owned(), "write:orders".to_owned()],
        metadata: r#"{"team":"payments","environment":"staging"}"#.to_owned(),
        ttl_ms: Some(30 * 86_400_000),
        ..new_key(&format!("service-{n}"))
    }
}

/// The order in which keys are asked for: a fixed pseudo-random walk (splitmix64), so that every
/// run asks alike.
#[derive(Clone, Debug, Default)]
pub struct Walk(u64);

impl Walk {
    /// The next index below `count`.
    pub fn next(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % count as u64).unwrap_or(0)
    }
}

/// How many keys a large bench uses: `TALOS_BENCH_KEYS`, by default a million. Few if benches run
/// as tests.
#[must_use]
pub fn many_keys() -> usize {
    if std::env::args().any(|argument| argument == "--test") {
        return 2_000;
    }
    std::env::var("TALOS_BENCH_KEYS")
        .ok()
        .and_then(|keys| keys.parse().ok())
        .unwrap_or(1_000_000)
}
