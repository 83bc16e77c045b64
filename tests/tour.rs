//! The tour of the README works as written: its `sh` blocks run in order, in one shell, against a
//! development server. Blocks of other languages (`console`, `text`) show what to start or what to
//! expect; they do not run.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::dev_mode::DevServer;
use crate::harness::TALOS;
use crate::harness::site::without_talos_variables;

/// The `sh` blocks below the first heading that holds "tour", up to the next heading of its level.
fn tour_blocks(readme: &str) -> Vec<String> {
    let mut lines = readme.lines();
    let is_tour = |line: &&str| line.starts_with('#') && line.to_lowercase().contains("tour");
    let heading = lines.find(is_tour).expect("a heading with the word tour");
    let level = heading.chars().take_while(|letter| *letter == '#').count();
    let (mut blocks, mut block): (Vec<String>, Option<(bool, String)>) = (Vec::new(), None);
    for line in lines {
        match &mut block {
            Some((shell, text)) if line == "```" => {
                if *shell {
                    blocks.push(std::mem::take(text));
                }
                block = None;
            }
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
            None if line.starts_with("```") => block = Some((line == "```sh", String::new())),
            None => {
                let hashes = line.chars().take_while(|letter| *letter == '#').count();
                if (1..=level).contains(&hashes) {
                    break;
                }
            }
        }
    }
    blocks
}

#[test]
fn blocks_are_found() {
    let readme = "# T\n```sh\nno\n```\n## A short tour\nx\n```sh\none\ntwo\n```\n```text\nno\n```\n### Sub\n```sh\nthree\n```\n## Next\n```sh\nno\n```\n";
    assert_eq!(tour_blocks(readme), ["one\ntwo\n", "three\n"]);
}

#[test]
fn the_tour_of_the_readme_runs() {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let server = DevServer::start(directory.path());
    let url = format!("http://localhost:{}", server.address.port());
    let script = tour_blocks(&readme)
        .concat()
        .replace("http://localhost:4420", &url);
    for word in ["curl", "talos keys", "verify", "revoke"] {
        assert!(script.contains(word), "the tour does not show {word}");
    }
    let mut command = Command::new("bash");
    without_talos_variables(&mut command);
    let programs = Path::new(TALOS).parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let output = command
        .args(["-uc", &script])
        .env("PATH", path)
        .env("TALOS_URL", &url)
        .current_dir(directory.path())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    eprintln!("{script}\n--- out\n{out}\n--- err\n{err}");
    assert!(!err.contains("command not found") && !err.contains("unbound variable"));
    assert!(
        out.contains("VERIFICATION_ERROR_REVOKED"),
        "the revoked key is refused at the end"
    );
    assert!(
        out.contains("\"is_valid\":true")
            || out.contains("\"is_valid\": true")
            || out.contains("is_valid")
    );
    server.stop();
}
