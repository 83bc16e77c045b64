//! Backups: made while keys are issued and revoked, checked bit by bit, and restored. A restored
//! backup accepts no revoked key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use talos_engine::{Engine, Options};
use talos_model::{Mode, Position, ReadLimits, StateHash};
use talos_test_kit::keys::{ISSUE, assert_refused, assert_valid};

use crate::harness::cli::{Ran, run, talos};
use crate::harness::engine::options;
use crate::harness::feed::Feed;
use crate::harness::site::{Server, Site, without_talos_variables};
use crate::harness::tokens::SECRET;
use crate::harness::{Driver, TALOS};

/// Runs `talos backup` without a server.
fn backup(arguments: &[&str]) -> Ran {
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command.arg("backup").args(arguments);
    run(command)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn create(server: &Server, file: &Path) -> Ran {
    talos(
        server.address,
        &["backup", "create", "--output", text(file)],
    )
}

/// The value of the row `name` of a printed table.
fn shown(table: &str, name: &str) -> String {
    let line = table.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name}: {table}"));
    line.split_whitespace().nth(1).unwrap().to_owned()
}

fn open(path: &Path, mode: Mode) -> std::sync::Arc<Engine> {
    Engine::open_as(options(path), mode).unwrap()
}

fn hash(path: &Path) -> StateHash {
    let engine = open(path, Mode::Primary);
    let hash = engine.state_hash().unwrap();
    engine.shutdown();
    hash
}

/// The state of the node in `from` after the change `last`, computed from its log alone.
fn replayed(from: &Path, last: Position, scratch: &Path) -> StateHash {
    let source = open(from, Mode::Primary);
    let node = Engine::open_as(
        Options {
            shards: Some(1),
            ..options(scratch)
        },
        Mode::Replica,
    )
    .unwrap();
    node.adopt(source.standing().epochs).unwrap();
    let all = ReadLimits {
        entries: usize::MAX,
        bytes: usize::MAX,
    };
    let talos_model::LogRead::Changes(mut changes) =
        source.changes_after(Position::START, all).unwrap()
    else {
        panic!("an empty log");
    };
    changes.retain(|change| change.position <= last);
    assert_eq!(node.apply(changes), Ok(last));
    let hash = node.state_hash().unwrap();
    node.shutdown();
    source.shutdown();
    hash
}

/// Checks that a failed restore has left nothing in `to` but its mark, and that no server starts
/// there.
fn assert_only_marked(to: &Path) {
    let names = || -> Vec<_> {
        let entries = fs::read_dir(to).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(), ["RESTORE"]);
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .arg("serve")
        .env("TALOS_CREDENTIALS_ISSUER", "https://issuer.example")
        .env("TALOS_SECRETS_HMAC_CURRENT", SECRET)
        .env("TALOS_DB_DSN", format!("rocksdb://{}", text(to)));
    let ran = run(command);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for words in ["a restore into", text(to), "talos backup restore"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    assert_eq!(names(), ["RESTORE"]);
}

fn at(directory: &Path, name: &str) -> PathBuf {
    directory.join(name)
}

both_drivers! {
    fn a_backup_equals_the_log_at_its_position_despite_concurrent_writes(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let files: Vec<_> = (0..4).map(|n| at(site.directory(), &format!("backup-{n}"))).collect();
        let (done, written) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (server, done, written) = (&server, &done, &written);
                scope.spawn(move || {
                    let mut connection = server.connect();
                    while !done.load(Ordering::Relaxed) {
                        let request = format!("{writer}-{}", written.load(Ordering::Relaxed));
                        let body = json!({"name": "n", "actor_id": "a", "request_id": request, "metadata": {"m": "x".repeat(500)}});
                        let answer = connection.post(ISSUE, &body);
                        assert_eq!(answer.status, 201, "{answer:?}");
                        let key_id = answer.json()["issued_api_key"]["key_id"].as_str().unwrap().to_owned();
                        assert_eq!(connection.revoke(&key_id).status, 204);
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for file in &files {
                let before = written.load(Ordering::Relaxed);
                while written.load(Ordering::Relaxed) < before + 50 {
                    std::thread::yield_now();
                }
                create(&server, file).succeeded();
            }
            done.store(true, Ordering::Relaxed);
        });
        server.stop();
        let mut last = 0;
        for (number, file) in files.iter().enumerate() {
            let table = backup(&["verify", text(file)]).succeeded().to_owned();
            assert_eq!(shown(&table, "verdict"), "whole");
            let position: Position = shown(&table, "position").parse().unwrap();
            assert!(position.sequence.0 > last, "{table}");
            last = position.sequence.0;
            let to = at(site.directory(), &format!("restored-{number}"));
            let ran = backup(&["restore", text(file), "--to", text(&to), "--without-log"]);
            assert_eq!(shown(ran.succeeded(), "position_of_backup"), position.to_string());
            let restored = hash(&to);
            assert_eq!(shown(&table, "keys"), restored.records.to_string());
            let wanted = replayed(site.data(), position, &at(site.directory(), &format!("log-{number}")));
            assert_eq!(restored, wanted);
        }
    }

    fn a_key_that_was_revoked_after_the_backup_stays_revoked(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let (kept, revoked) = (connection.issue("kept"), connection.issue("revoked"));
        let file = at(site.directory(), "backup");
        create(&server, &file).succeeded();
        assert_eq!(connection.revoke(&revoked.key_id).status, 204);
        let new = connection.issue("new");
        // Leaves the directory as a crash would.
        server.kill();
        let (old, new_data) = (site.data().to_owned(), at(site.directory(), "new"));
        let ran = backup(&["restore", text(&file), "--to", text(&new_data), "--log", text(&old)]);
        assert_eq!(shown(ran.succeeded(), "changes_since"), "2");
        assert_eq!(ran.stderr, "");
        let mut site = site.with_data_in(&new_data);
        let server = site.start();
        let mut connection = server.connect();
        assert_valid(&connection.verify(&kept.secret), &kept.key_id);
        assert_valid(&connection.verify(&new.secret), &new.key_id);
        assert_refused(&connection.verify(&revoked.secret), "REVOKED");
        // The next change belongs to a new epoch.
        let mut feed = Feed::open(server.address, "", &[]);
        connection.issue("later");
        assert_eq!(feed.event().id, "2.5");
        server.stop();
    }

    fn a_restore_without_the_log_is_refused_or_warns(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let revoked = connection.issue("revoked");
        let file = at(site.directory(), "backup");
        create(&server, &file).succeeded();
        assert_eq!(connection.revoke(&revoked.key_id).status, 204);
        let to = at(site.directory(), "new");
        let ran = backup(&["restore", text(&file), "--to", text(&to)]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
        for words in ["every revocation since", "position 1.1", "--log DIRECTORY", "--without-log"] {
            assert!(ran.stderr.contains(words), "{}", ran.stderr);
        }
        // The command refuses while a server runs, because the server would go on writing.
        let ran = backup(&["restore", text(&file), "--to", text(&to), "--log", text(site.data())]);
        ran.assert_one_line_and_code_1(&["a server is using it", "--without-log"]);
        assert_only_marked(&to);
        server.stop();
        let ran = backup(&["restore", text(&file), "--to", text(&to), "--without-log"]);
        ran.succeeded();
        for words in ["WARNING", "every change since the backup", "position 1.1", "work again"] {
            assert!(ran.stderr.contains(words), "{}", ran.stderr);
        }
        let again = backup(&["restore", text(&file), "--to", text(&to), "--without-log"]);
        again.assert_one_line_and_code_1(&["is not empty"]);
        let mut site = site.with_data_in(&to);
        let server = site.start();
        assert_valid(&server.connect().verify(&revoked.secret), &revoked.key_id);
        server.stop();
    }

    fn a_log_that_does_not_go_on_where_the_backup_ends_is_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        connection.issue("one");
        let [early, late] = ["early", "late"].map(|name| at(site.directory(), name));
        create(&server, &early).succeeded();
        connection.issue("two");
        connection.issue("three");
        create(&server, &late).succeeded();
        server.stop();
        // The log of this node begins at 1.3.
        let copied = at(site.directory(), "copied");
        backup(&["restore", text(&late), "--to", text(&copied), "--without-log"]).succeeded();
        let to = at(site.directory(), "new");
        let restore = |file: &Path, log: &Path| {
            backup(&["restore", text(file), "--to", text(&to), "--log", text(log)])
        };
        restore(&early, &copied).assert_one_line_and_code_1(&["gap", "begins with change 1.3", "ends with change 1.1", "--without-log"]);
        let behind = at(site.directory(), "behind");
        backup(&["restore", text(&early), "--to", text(&behind), "--without-log"]).succeeded();
        restore(&late, &behind).assert_one_line_and_code_1(&["it is not the log of the node", "--without-log"]);
        let stranger = Site::new(driver).start_and_stop();
        restore(&early, stranger.data()).assert_one_line_and_code_1(&["it is not the log of the node"]);
        let nothing = at(site.directory(), "nothing");
        fs::create_dir(&nothing).unwrap();
        restore(&early, &nothing).assert_one_line_and_code_1(&["no database"]);
        assert_only_marked(&to);
        restore(&late, site.data()).succeeded();
    }
}

/// A server with some keys, and a backup of it.
fn some_backup() -> (Site, PathBuf) {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let mut connection = server.connect();
    for name in ["one", "two", "three"] {
        connection.issue(name);
    }
    let file = at(site.directory(), "backup");
    create(&server, &file).succeeded();
    server.stop();
    (site, file)
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let (site, file) = some_backup();
    let whole = fs::read(&file).unwrap();
    let other = at(site.directory(), "other");
    let judge = |bytes: &[u8]| {
        let read = talos_engine::backup::BackupReader::open(bytes);
        read.and_then(talos_engine::backup::BackupReader::check)
    };
    judge(&whole).unwrap();
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 1 << (at % 8);
        assert!(judge(&altered).is_err(), "bit {} of byte {at}", at % 8);
        assert!(judge(&whole[..at]).is_err(), "cut after {at} bytes");
    }
    assert!(judge(&[&whole[..], b"x"].concat()).is_err());
    // The command reports the same.
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    let newer = [b"TALOSBAK\x63\0\0\0", &whole[12..]].concat();
    for (bytes, words) in [
        (&altered[..], "damaged"),
        (&whole[..whole.len() - 1], "cut off"),
        (&newer, "format 99"),
        (b"PK\x03\x04", "not a backup"),
        (b"", "not a backup"),
    ] {
        fs::write(&other, bytes).unwrap();
        let to = at(site.directory(), "new");
        backup(&["verify", text(&other)]).assert_one_line_and_code_1(&[words]);
        let restore = ["restore", text(&other), "--to", text(&to), "--without-log"];
        backup(&restore).assert_one_line_and_code_1(&[words]);
        assert_only_marked(&to);
    }
}

#[test]
fn an_empty_server_can_be_backed_up_and_restored() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let file = at(site.directory(), "backup");
    let table = create(&server, &file).succeeded().to_owned();
    assert_eq!(
        (shown(&table, "position"), shown(&table, "keys")),
        ("1.0".to_owned(), "0".to_owned())
    );
    let key = server.connect().issue("later");
    create(&server, &file).assert_one_line_and_code_1(&["exists"]);
    server.stop();
    let to = at(site.directory(), "new");
    backup(&[
        "restore",
        text(&file),
        "--to",
        text(&to),
        "--log",
        text(site.data()),
    ])
    .succeeded();
    let mut site = site.with_data_in(&to);
    let server = site.start();
    assert_valid(&server.connect().verify(&key.secret), &key.key_id);
    server.stop();
}

#[test]
fn an_interrupted_backup_leaves_no_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let mut connection = server.connect();
    let metadata = "x".repeat(60_000);
    for _ in 0..1000 {
        let body = json!({"name": "n", "actor_id": "a", "metadata": {"m": metadata}});
        assert_eq!(connection.post(ISSUE, &body).status, 201);
    }
    let (file, partial) = (
        at(site.directory(), "backup"),
        at(site.directory(), "backup.partial"),
    );
    let begin = || {
        let mut command = Command::new(TALOS);
        without_talos_variables(&mut command);
        command
            .args([
                "backup",
                "create",
                "-e",
                &format!("http://{}", server.address),
            ])
            .args(["--output", text(&file)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let has_begun = || fs::metadata(&partial).is_ok_and(|partial| partial.len() > 0);
    // The command may end before it is killed; then the test tries again.
    let mut killed = false;
    for _ in 0..20 {
        let mut child = begin();
        while !has_begun() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if !file.exists() {
            killed = true;
            break;
        }
        fs::remove_file(&file).unwrap();
    }
    assert!(killed && !file.exists() && partial.exists());
    // The files left by the killed command do not stop the next one.
    create(&server, &file).succeeded();
    assert!(!partial.exists());
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    backup(&["verify", text(&file)]).succeeded();
    server.stop();
}
