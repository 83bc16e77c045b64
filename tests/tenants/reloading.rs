//! A changed configuration is taken into use while the server runs, as a whole or not at all.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// Waits until `done` holds, for much longer than a reload takes.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "not yet: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Asks for the configuration to be loaded now.
fn hang_up(server: &Server) {
    kill_process(Pid::from_child(server.process()), Signal::HUP).unwrap();
}

/// How many lines of the log begin with `message`.
fn lines(server: &Server, message: &str) -> usize {
    let begins = |line: &Value| {
        line["message"]
            .as_str()
            .is_some_and(|text| text.starts_with(message))
    };
    server
        .log_lines()
        .iter()
        .filter(|line| begins(line))
        .count()
}

const RELOADED: &str = "configuration reloaded";
const REFUSED: &str = "the configuration was not reloaded";

both_drivers! {
    fn tenants_come_and_go(driver: Driver) {
        let site = Site::new(driver);
        let path = configure(&site, "", &overlay());
        let server = Server::start(command(&site, &path), site.directory().join("reload.log"));
        let [mut a, mut b, mut c] = [A, B, C].map(|host| Client::new(server.address, host));
        let mut d = Client::new(server.address, "d.example");
        let (_, of_a) = a.issue("one");
        let (_, of_b) = b.issue("one");
        assert_eq!(d.get(ISSUE).status, 404);
        // The file is replaced by a rename, as orchestrators do: `c` goes and `d` comes.
        let yaml = fs::read_to_string(&path).unwrap().replace("c.example", "d.example");
        let next = site.directory().join("next.yaml");
        fs::write(&next, &yaml).unwrap();
        fs::rename(&next, &path).unwrap();
        until("another tenant", || d.get(ISSUE).status == 200);
        let answer = c.post(VERIFY, &json!({"credential": of_a}));
        answer.assert_error(404, "NOT_FOUND", "NOT_FOUND");
        assert_eq!((a.verdict(&of_a), b.verdict(&of_b)), (None, None));
        d.issue("new");
        server.stop();
    }

    fn settings_that_need_a_restart_are_named(driver: Driver) {
        let site = Site::new(driver);
        let path = site.config();
        let server = Server::start(command(&site, &path), site.directory().join("reload.log"));
        let mut client = Client::new(server.address, "localhost");
        let good = fs::read_to_string(&path).unwrap();
        let mut reload = |yaml: &str| {
            fs::write(&path, yaml).unwrap();
            let answer = client.post("/v2alpha1/admin/config:reload", &json!({}));
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.json()["restart_required"].clone()
        };
        // Another spelling of a value is no change, and a log level is taken into use.
        assert_eq!(reload(&format!("{}log: {{level: debug}}\n", good.replace("8 MiB", "8388608"))), json!([]));
        let changed = good.replace("workers: 2", "workers: 1").replace("8 MiB", "9 MiB");
        let keys = json!(["serve.workers", "db.block_cache_size"]);
        assert_eq!(reload(&changed), keys);
        assert_eq!(reload(&changed), keys, "until the next start");
        assert_eq!(reload(&good), json!([]));
        let warning = "changed settings take effect at the next start";
        until("two warnings", || lines(&server, warning) == 2);
        server.stop();
    }

    fn a_bad_configuration_changes_nothing(driver: Driver) {
        let site = Site::new(driver);
        let path = configure(&site, "", &overlay());
        let server = Server::start(command(&site, &path), site.directory().join("reload.log"));
        let mut b = Client::new(server.address, B);
        let (_, secret) = b.issue("one");
        let own = site.directory().join("b.yaml");
        let good = fs::read_to_string(&own).unwrap();
        for (count, bad) in ["quota: {api_keys_max: many}\n", "[", "db: {dsn: x}\n"].iter().enumerate() {
            fs::write(&own, bad).unwrap();
            hang_up(&server);
            until("a refusal", || lines(&server, REFUSED) > count);
            assert_eq!(b.verdict(&secret), None);
        }
        let log = server.log_lines();
        let named = |line: &&Value| line["message"].as_str().is_some_and(|text| text.contains("b.yaml:1:"));
        assert!(log.iter().any(|line| named(&line)), "the place of the fault");
        fs::write(&own, good.replace("api_keys_max: 2", "api_keys_max: 3")).unwrap();
        hang_up(&server);
        until("a reload", || lines(&server, RELOADED) == 1);
        b.issue("two");
        b.issue("three");
        let answer = b.post(ISSUE, &json!({"name": "four", "actor_id": "actor"}));
        assert_eq!(answer.status, 402, "{}", answer.text());
        server.stop();
    }

    fn a_rotated_secret_ends_no_key(driver: Driver) {
        let site = Site::new(driver);
        let path = configure(&site, "", &overlay());
        let server = Server::start(command(&site, &path), site.directory().join("reload.log"));
        let mut b = Client::new(server.address, B);
        let (_, old) = b.issue("old");
        let own = site.directory().join("b.yaml");
        let rotated = fs::read_to_string(&own).unwrap().replace(
            "{current: 'the secret of the second tenant, long'}",
            "{current: 'another secret of the second tenant', retired: ['the secret of the second tenant, long']}",
        );
        fs::write(&own, &rotated).unwrap();
        hang_up(&server);
        until("a reload", || lines(&server, RELOADED) == 1);
        assert_eq!(b.verdict(&old), None);
        let (_, new) = b.issue("new");
        fs::write(&own, rotated.replace(", retired: ['the secret of the second tenant, long']", "")).unwrap();
        hang_up(&server);
        until("a reload", || lines(&server, RELOADED) == 2);
        assert_eq!(b.verdict(&old).as_deref(), Some("NOT_FOUND"));
        assert_eq!(b.verdict(&new), None);
        server.stop();
    }

    /// With another secret all keys of the tenant would be refused, without a word.
    fn a_wrong_secret_is_not_taken_into_use(driver: Driver) {
        let site = Site::new(driver);
        let path = configure(&site, "", &overlay());
        let server = Server::start(command(&site, &path), site.directory().join("reload.log"));
        let mut b = Client::new(server.address, B);
        let own = site.directory().join("b.yaml");
        let right = fs::read_to_string(&own).unwrap();
        let wrong = right.replace("the secret of the second", "a wrong secret for the second");
        // While no key needs a secret, every secret is right.
        fs::write(&own, &wrong).unwrap();
        hang_up(&server);
        until("a reload", || lines(&server, RELOADED) == 1);
        fs::write(&own, &right).unwrap();
        hang_up(&server);
        until("a reload", || lines(&server, RELOADED) == 2);
        let (_, key) = b.issue("key");
        fs::write(&own, &wrong).unwrap();
        hang_up(&server);
        until("a refusal", || lines(&server, REFUSED) == 1);
        assert_eq!(b.verdict(&key), None);
        let mut a = Client::new(server.address, A);
        let (_, of_a) = a.issue("of a");
        server.stop();
        let refused = crate::harness::cli::run(command(&site, &path));
        refused.assert_one_line_and_code_1(&["1 active key was issued", ID_B, "secrets.hmac"]);
        // The other tenants are not asked about.
        let mut forgetting = command(&site, &path);
        forgetting.arg("--forget-missing-secrets");
        let server = Server::start(forgetting, site.directory().join("forgotten.log"));
        let mut b = Client::new(server.address, B);
        assert_eq!(b.verdict(&key).as_deref(), Some("NOT_FOUND"));
        assert_eq!(Client::new(server.address, A).verdict(&of_a), None);
        b.issue("new");
        server.stop();
    }

    fn the_data_plane_follows(driver: Driver) {
        let site = Site::new(driver);
        let path = site.config();
        let server = Server::start(command(&site, &path), site.directory().join("reload.log"));
        let mut connection = server.connect();
        let body = format!("{{\"credential\": \"x\", \"more\": \"{}\"}}", "a".repeat(20_000));
        assert_eq!(connection.call("POST", VERIFY, &[], body.as_bytes()).status, 200);
        let yaml = fs::read_to_string(&path).unwrap();
        let changed = yaml.replace(
            "http: {host: 127.0.0.1, port: 0}",
            "http: {host: 127.0.0.1, port: 0, limits: {body: 16 KiB}}",
        );
        assert_ne!(yaml, changed);
        fs::write(&path, changed).unwrap();
        hang_up(&server);
        until("a smaller limit", || {
            let mut connection = server.connect();
            connection.call("POST", VERIFY, &[], body.as_bytes()).status == 413
        });
        server.stop();
    }

    fn the_log_follows(driver: Driver) {
        let site = Site::new(driver);
        let path = site.config();
        let server = Server::start(command(&site, &path), site.directory().join("reload.log"));
        let verifications = || {
            let is_one = |line: &Value| line["level"] == "DEBUG" && line["route"] == VERIFY;
            server.log_lines().iter().filter(|line| is_one(line)).count()
        };
        let mut connection = server.connect();
        connection.verify("x");
        let yaml = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{yaml}log: {{level: debug}}\n")).unwrap();
        hang_up(&server);
        until("a reload", || lines(&server, RELOADED) == 1);
        assert_eq!(verifications(), 0);
        connection.verify("x");
        until("the line of a verification", || verifications() == 1);
        server.stop();
    }
}
