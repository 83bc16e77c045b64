//! `talos migrate`: what it reports about a database, and how it changes one.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::cli::{Ran, run};
use crate::harness::site::{Site, without_talos_variables};
use crate::harness::{Driver, TALOS};

fn migrate(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .arg("migrate")
        .args(arguments)
        .env_remove("DB_DSN")
        .env_remove("DSN")
        .envs(environment.iter().copied())
        .current_dir(directory);
    run(command)
}

#[test]
fn a_database_is_made_once_and_served() {
    let mut site = Site::new(Driver::Epoll);
    let data = site.data().to_owned();
    let dsn = format!("rocksdb://{}", data.display());
    let migrate = |arguments: &[&str]| {
        migrate(
            site.directory(),
            &[arguments, &["--database", &dsn]].concat(),
            &[],
        )
    };
    let says = |ran: Ran, words: &str| {
        assert!(ran.succeeded().contains(words), "{ran:?}");
        assert_eq!(
            (ran.stdout.lines().count(), ran.stderr.as_str()),
            (1, ""),
            "{ran:?}"
        );
    };
    says(migrate(&["status"]), "no database, format 0 of 1");
    says(migrate(&["down"]), "no database");
    migrate(&["force", "1"]).assert_one_line_and_code_1(&["talos: ", "no database"]);
    assert!(!data.exists(), "looking makes nothing");

    says(migrate(&["up"]), "format 1 of 1, made");
    says(
        migrate(&["up", "--steps", "3"]),
        "format 1 of 1, nothing to do",
    );
    says(migrate(&["status"]), "format 1 of 1, up to date");
    says(migrate(&["force", "1"]), "nothing to do");
    migrate(&["down"]).assert_one_line_and_code_1(&["talos: ", "format 1 is the first"]);
    migrate(&["down", "--steps", "1"])
        .assert_one_line_and_code_1(&["talos: ", "format 1 is the first"]);
    migrate(&["force", "2"]).assert_one_line_and_code_1(&["talos: ", "format 1", "format 2"]);

    // Both commands work while a server runs.
    let config = site.config();
    let server = site.start();
    let key = server.connect().issue("key");
    let config = config.to_str().unwrap();
    for arguments in [["up"], ["status"]] {
        let beside = self::migrate(
            site.directory(),
            &[&arguments, ["--config", config].as_slice()].concat(),
            &[],
        );
        assert!(beside.succeeded().contains("format 1 of 1"), "{beside:?}");
    }
    assert_eq!(server.connect().get(&key.key_id)["name"], "key");
    server.stop();
}

#[test]
fn the_database_is_found_by_dsn_and_config() {
    let site = Site::new(Driver::Epoll);
    let directory = site.directory();
    fs::write(
        directory.join("talos.yaml"),
        "db: {dsn: 'rocksdb://from-file'}\n",
    )
    .unwrap();
    let all = [
        ("DB_DSN", "rocksdb://from-db-dsn"),
        ("DSN", "rocksdb://from-dsn"),
    ];
    let status = |arguments: &[&str], environment: &[(&str, &str)]| {
        let ran = migrate(directory, &[&["status"], arguments].concat(), environment);
        ran.succeeded().split(':').next().unwrap().to_owned()
    };
    let config = ["--config", "talos.yaml"];
    let flag = ["--database", "rocksdb://from-flag"];
    assert_eq!(status(&[], &[]), "./talos-data");
    assert_eq!(status(&config, &[]), "from-file");
    assert_eq!(
        status(&config, &[("TALOS_DB_DSN", "rocksdb://from-variable")]),
        "from-variable"
    );
    assert_eq!(status(&config, &all[1..]), "from-dsn");
    assert_eq!(status(&config, &all), "from-db-dsn");
    assert_eq!(status(&[config, flag].concat(), &all), "from-flag");

    let sqlite = migrate(directory, &["up", "--database", "sqlite://keys.db"], &[]);
    assert!(
        sqlite.succeeded().starts_with("keys.db.rocksdb: "),
        "{sqlite:?}"
    );
    assert!(sqlite.stderr.contains("SQLite is not used"), "{sqlite:?}");
    assert!(directory.join("keys.db.rocksdb/FORMAT").exists());
}

#[test]
fn foreign_directories_and_newer_formats_are_not_changed() {
    let site = Site::new(Driver::Epoll);
    let data = site.data();
    let dsn = format!("rocksdb://{}", data.display());
    fs::create_dir(data).unwrap();
    fs::write(data.join("thesis.txt"), "the only copy").unwrap();
    for action in ["up", "down", "status"] {
        let ran = migrate(site.directory(), &[action, "--database", &dsn], &[]);
        ran.assert_one_line_and_code_1(&["talos: ", "choose another"]);
    }
    assert_eq!(fs::read_dir(data).unwrap().count(), 1);
    fs::remove_file(data.join("thesis.txt")).unwrap();
    fs::write(data.join("FORMAT"), "talos-database 99\n").unwrap();
    for action in [
        ["up"].as_slice(),
        &["down"],
        &["status"],
        &["force", "1"],
        &["force", "99"],
    ] {
        let ran = migrate(
            site.directory(),
            &[action, &["--database", &dsn]].concat(),
            &[],
        );
        ran.assert_one_line_and_code_1(&["talos: ", "format 99"]);
    }
    assert_eq!(
        fs::read_to_string(data.join("FORMAT")).unwrap(),
        "talos-database 99\n"
    );
}
