//! Reloads while clients verify, derive and list: no answer fails, and none is wrong.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::harness::tokens::RSA_JWK;

/// How often the configuration is replaced, and how long the server has until the next time.
const RELOADS: usize = 60;
const PAUSE: Duration = Duration::from_millis(50);
const OTHER_SECRET: &str = "another secret of the second tenant, as long";

/// The settings of the tenant of [`B`]: what signs and seals is in turn one of two, and the other
/// one is retired.
fn settings(turn: usize) -> String {
    let [own, other] = if turn.is_multiple_of(2) {
        [0, 1]
    } else {
        [1, 0]
    };
    let secrets = ["the secret of the second tenant, long", OTHER_SECRET];
    let issuers = ["https://b.example", "https://b2.example"];
    let (prefixes, macaroons) = (["bee", "wasp"], ["mb", "mw"]);
    let sets = [url(ED25519_JWK), url(RSA_JWK)];
    format!(
        "credentials:\n  issuer: {issuer}\n  issuer_retired: ['{old_issuer}']\n  \
         api_keys: {{prefix: {{current: {prefix}, retired: [{old_prefix}]}}}}\n  \
         derived_tokens:\n    macaroon: {{prefix: {{current: {macaroon}, retired: [{old_macaroon}]}}}}\n    \
         jwt: {{signing_keys: {{urls: ['{set}', '{old_set}']}}}}\n\
         secrets:\n  hmac: {{current: '{secret}', retired: ['{old_secret}']}}\n  \
         pagination: {{current: '{secret}', retired: ['{old_secret}']}}\n\
         quota: {{api_keys_max: {quota}}}\n",
        issuer = issuers[own],
        old_issuer = issuers[other],
        prefix = prefixes[own],
        old_prefix = prefixes[other],
        macaroon = macaroons[own],
        old_macaroon = macaroons[other],
        set = sets[own],
        old_set = sets[other],
        secret = secrets[own],
        old_secret = secrets[other],
        quota = 1000 + turn,
    )
}

/// Asks again and again until `done`, and counts the answers.
fn keep_asking(done: &AtomicBool, count: &AtomicU64, mut ask: impl FnMut()) {
    while !done.load(Ordering::Relaxed) {
        ask();
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn token(client: &mut Client, secret: &str, algorithm: &str) -> String {
    let asked = json!({"credential": secret, "algorithm": algorithm});
    let derived = client.post("/v2alpha1/admin/apiKeys:derive", &asked);
    assert_eq!(derived.status, 200, "{}", derived.text());
    derived.json()["token"]["token"]
        .as_str()
        .unwrap()
        .to_owned()
}

both_drivers! {
    fn nobody_notices_a_reload(driver: Driver) {
        let site = Site::new(driver);
        let path = configure(&site, "", &settings(0));
        let server = Server::start(command(&site, &path), site.directory().join("load.log"));
        let address = server.address;
        let (_, of_a) = Client::new(address, A).issue("a");
        let mut b = Client::new(address, B);
        let (_, of_b) = b.issue("b");
        b.issue("another");
        let tokens = ["TOKEN_ALGORITHM_JWT", "TOKEN_ALGORITHM_MACAROON"].map(|algorithm| token(&mut b, &of_b, algorithm));
        let page = b.get(&format!("{ISSUE}?page_size=1")).json();
        let next = format!("{ISSUE}?page_size=1&page_token={}", page["next_page_token"].as_str().unwrap());
        let (done, counts) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; 4]);
        thread::scope(|scope| {
            let [keys, derived, pages, made] = &counts;
            let (done, of_a, of_b, tokens, next) = (&done, &of_a, &of_b, &tokens, &next);
            scope.spawn(move || {
                let [mut a, mut b] = [A, B].map(|host| Client::new(address, host));
                keep_asking(done, keys, || {
                    assert_eq!(a.verdict(of_a), None);
                    assert_eq!(b.verdict(of_b), None);
                    assert_eq!(a.verdict(of_b).as_deref(), Some("NOT_FOUND"));
                });
            });
            scope.spawn(move || {
                let mut b = Client::new(address, B);
                keep_asking(done, derived, || {
                    for token in tokens {
                        assert_eq!(b.verdict(token), None);
                    }
                });
            });
            scope.spawn(move || {
                let mut b = Client::new(address, B2);
                keep_asking(done, pages, || assert_eq!(b.get(next).status, 200));
            });
            scope.spawn(move || {
                let mut b = Client::new(address, B2);
                keep_asking(done, made, || {
                    let (_, secret) = b.issue("made");
                    assert_eq!(b.verdict(&secret), None);
                    let derived = token(&mut b, &secret, "TOKEN_ALGORITHM_MACAROON");
                    assert_eq!(b.verdict(&derived), None);
                    thread::sleep(Duration::from_millis(20));
                });
            });
            let (own, next_own) = (site.directory().join("b.yaml"), site.directory().join("next.yaml"));
            for turn in 1..=RELOADS {
                let is_bad = turn % 3 == 0;
                let text = if is_bad { "quota: {api_keys_max: many}\n".to_owned() } else { settings(turn) };
                fs::write(&next_own, text).unwrap();
                fs::rename(&next_own, &own).unwrap();
                kill_process(Pid::from_child(server.process()), Signal::HUP).unwrap();
                thread::sleep(PAUSE);
            }
            done.store(true, Ordering::Relaxed);
        });
        for count in &counts {
            assert!(count.load(Ordering::Relaxed) > 10, "{counts:?}");
        }
        let said = |text: &str| {
            let says = |line: &&Value| line["message"].as_str().is_some_and(|message| message.starts_with(text));
            server.log_lines().iter().filter(says).count()
        };
        assert!(said("configuration reloaded") > RELOADS / 4, "{}", said("configuration reloaded"));
        assert!(said("the configuration was not reloaded") > RELOADS / 12);
        server.stop();
    }
}
