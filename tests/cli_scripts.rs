//! The command line in scripts: readers that leave early, files that exist, capital letters, and
//! what a shell completes.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::cli::{Ran, run, talos, talos_with_input};
use crate::harness::site::{Site, without_talos_variables};
use crate::harness::{Driver, TALOS};

/// Runs a command whose standard output nothing reads from the beginning on.
fn unread(address: SocketAddr, arguments: &[&str]) -> Ran {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .args(arguments)
        .args(["-e", &format!("http://{address}")])
        .stdout(writer)
        .stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error_and_no_verdict() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let key = server.connect().issue("key");
    let empty = site.directory().join("empty");
    fs::write(&empty, "").unwrap();
    let empty = empty.to_str().unwrap();
    for (line, code) in [
        (&["keys", "issued", "list"][..], 0),
        (&["keys", "issued", "list", "--format", "json-pretty"], 0),
        (&["keys", "issued", "list", "--format", "yaml"], 0),
        (&["keys", "issued", "get", &key.key_id], 0),
        (&["keys", "verify", &key.secret], 0),
        (&["keys", "verify", "wrong"], 1),
        (&["keys", "batch-verify", "wrong", "--fail-on-invalid"], 1),
        (&["fleet", "status"], 0),
        (&["whoami"], 0),
        (&["jwk", "get"], 0),
        (&["jwk", "generate", "eddsa"], 0),
        (&["token", "inspect", &key.secret], 0),
        (&["completions", "zsh"], 0),
        (&["--help"], 0),
        (&["backup", "create", "--output", "-"], 1),
    ] {
        let ran = unread(server.address, line);
        assert_eq!(
            (ran.code, ran.stderr.as_str()),
            (Some(code), ""),
            "{line:?}"
        );
    }
    // Another failure is still reported.
    let failed = unread(server.address, &["backup", "verify", empty]);
    assert!(
        failed.code == Some(1) && !failed.stderr.is_empty(),
        "{failed:?}"
    );
    server.stop();
}

#[test]
fn a_backup_passes_through_standard_output() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    server.connect().issue("key");
    let file = site.directory().join("streamed");
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .args(["-e", &format!("http://{}", server.address)])
        .args(["backup", "create", "-o", "-"])
        .stdout(fs::File::create(&file).unwrap())
        .stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    let remarks = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && remarks.contains("whole"),
        "{remarks}"
    );
    let path = file.to_str().unwrap();
    let verify = ["backup", "verify", path];
    assert!(talos(server.address, &verify).succeeded().contains("whole"));
    assert!(!Path::new("-").exists() && !Path::new("-.partial").exists());

    // A file that exists is replaced only if that is asked for.
    fs::write(&file, "old").unwrap();
    let create = ["backup", "create", "-o", path];
    talos(server.address, &create).assert_one_line_and_code_1(&["exists", "--force"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    talos(server.address, &[&create[..], &["--force"]].concat()).succeeded();
    talos(server.address, &verify).succeeded();
    let directory = site.directory().to_str().unwrap().to_owned();
    let create = ["backup", "create", "--force", "-o", &directory];
    talos(server.address, &create).assert_one_line_and_code_1(&["not a regular file"]);
    server.stop();
}

#[test]
fn ids_in_capital_letters_name_the_same_keys() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let issued = server.connect().issue("key");
    let import = [
        "keys",
        "imported",
        "import",
        "n",
        "--actor",
        "a",
        "--raw-key",
        "raw-0",
        "-q",
    ];
    let imported = talos(server.address, &import).succeeded().trim().to_owned();
    for (kind, id) in [("issued", &issued.key_id), ("imported", &imported)] {
        let upper = id.to_uppercase();
        assert_ne!(&upper, id);
        let keys = |line: &[&str]| talos(server.address, &[&["keys"], line].concat());
        assert_eq!(
            keys(&[kind, "get", &upper, "-q"]).succeeded(),
            format!("{id}\n")
        );
        keys(&[kind, "update", &upper, "--name", "new"]).succeeded();
        let shown = keys(&[kind, "get", id, "--format", "json"]).json();
        assert_eq!(shown["name"], "new");
        if kind == "issued" {
            keys(&[kind, "rotate", &upper]).succeeded();
        } else {
            keys(&[kind, "revoke", &upper]).succeeded();
            keys(&[kind, "delete", &upper]).succeeded();
            assert_eq!(keys(&[kind, "get", id]).code, Some(1));
        }
    }
    server.stop();
}

#[test]
fn files_of_other_programs_are_imported() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let item = |n: u32| json!({"raw_key": format!("raw-{n}"), "name": "n", "actor_id": "a"});
    let [a, b, c] = [1, 2, 3].map(|n| item(n).to_string());
    for (input, wanted) in [
        (format!("{a}\n{b}\n"), "success_count\":2"),
        (format!("\u{feff}[{a},{b},{c}]"), "skipped_count\":0"),
        (format!("\u{feff}{c}\r\n\r\n"), "failure_count\":1"),
    ] {
        let line = [
            "keys",
            "imported",
            "batch-import",
            "--file",
            "-",
            "--format",
            "json",
        ];
        let ran = talos_with_input(server.address, &line, &input);
        assert!(ran.stdout.contains(wanted), "{input:?}: {ran:?}");
    }
    let line = ["keys", "imported", "list", "-q"];
    assert_eq!(talos(server.address, &line).succeeded().lines().count(), 3);
    server.stop();
}

#[test]
fn a_key_without_a_lifetime_ends_after_a_day() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let expiry = |ttl: &[&str]| {
        let issue = ["keys", "issue", "n", "--actor", "a", "--format", "json"];
        let answer = talos(server.address, &[&issue[..], ttl].concat()).json();
        answer["issued_api_key"]["expire_time"].clone()
    };
    assert!(expiry(&[]).is_string());
    assert_ne!(expiry(&["--ttl", "48h"]), expiry(&[]));
    // The server of this test has no default, and shows what its longest lifetime makes of that.
    let (zero, none) = (expiry(&["--ttl", "0"]), expiry(&["--ttl", "0s"]));
    assert_eq!(zero == Value::Null, none == Value::Null);
    assert_ne!(zero, expiry(&[]));
    server.stop();
}

#[test]
fn a_list_refuses_what_it_would_not_apply() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let mut connection = server.connect();
    for kind in ["issuedApiKeys", "importedApiKeys"] {
        for (query, meant) in [
            ("status=KEY_STATUS_REVOKED", "filter=status="),
            ("actorId=me", "filter=actor_id="),
            ("limit=5", "page_size"),
            ("cursor=x", "page_token"),
        ] {
            let path = format!("/v2alpha1/admin/{kind}?{query}");
            let answer = connection.call("GET", &path, &[], b"");
            assert_eq!(answer.status, 400, "{query}");
            let message = answer.json()["error"]["message"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(message.contains(meant), "{query}: {message}");
        }
        let path = format!("/v2alpha1/admin/{kind}?pageSize=5&filter=");
        assert_eq!(connection.call("GET", &path, &[], b"").status, 200);
    }
    server.stop();
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let mut command = Command::new("bash");
    without_talos_variables(&mut command);
    command.arg("-c").arg(format!(
        "source <({TALOS} completions bash)
         try() {{ COMP_WORDS=(\"$@\"); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
                  _talos talos \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[*]}}\"; }}
         try talos comp; try talos keys batch; try talos keys revoke --reas; try talos jwk generate ecdsa --curve P-5"
    ));
    let ran = run(command);
    let lines: Vec<_> = ran.succeeded().lines().collect();
    let wanted = [
        "completions",
        "batch-verify",
        "--reason --reason-text",
        "P-521",
    ];
    assert_eq!(lines, wanted, "{ran:?}");
}
