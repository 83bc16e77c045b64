//! The pages of `docs/` that show commands work as written. The `sh` blocks of a page run in order,
//! in one shell, against a development server that is started as the page says, and a proxy if the
//! page starts one. An `output` block holds the output of the block before it.
//!
//! In an `output` block `…` stands for any text within a line, and a line of `…` alone for any
//! number of lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dev_mode::DevServer;
use crate::harness::TALOS;
use crate::harness::site::{Server, without_talos_variables};

/// Pages whose commands this test does not run. Most are about the project itself and have none.
/// The commands of `loadtest.md` take minutes to hours; `loadtest/` checks them. Those of
/// `configuration.md`, `fleet.md`, `tls.md` and `admin-protection.md` run in tests of their own;
/// `tenants/` checks what `tenants.md` and `reload.md` say, `clocks/` what `clocks.md` says. Those
/// of `container.md` need an image registry.
const NOT_RUN: [&str; 16] = [
    "ARCHITECTURE.md",
    "FORMAT.md",
    "PERFORMANCE.md",
    "REPLICATION.md",
    "SECURITY.md",
    "admin-protection.md",
    "clocks.md",
    "configuration.md",
    "container.md",
    "fleet.md",
    "limits.md",
    "loadtest.md",
    "reload.md",
    "supervisors.md",
    "tenants.md",
    "tls.md",
];
/// Printed between the outputs of two blocks.
const MARK: &str = "@@ end of block";

/// A block to run, and its output if the page shows it.
#[derive(Debug, PartialEq, Eq)]
struct VerifyStep {
    script: String,
    output: Option<String>,
}

/// The blocks of a page: their languages and texts, in order.
fn blocks(page: &str) -> Vec<(String, String)> {
    let (mut blocks, mut open) = (Vec::new(), None::<(String, String)>);
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some((_, text)), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn steps(page: &str) -> Vec<VerifyStep> {
    let mut steps: Vec<VerifyStep> = Vec::new();
    let mut after_script = false;
    for (language, text) in blocks(page) {
        match language.as_str() {
            "sh" => steps.push(VerifyStep {
                script: text,
                output: None,
            }),
            "output" => {
                assert!(after_script, "output of nothing:\n{text}");
                steps.last_mut().unwrap().output = Some(text);
            }
            _ => {}
        }
        after_script = language == "sh";
    }
    steps
}

/// The commands that the page starts in another terminal.
fn commands(page: &str) -> Vec<String> {
    let consoles = blocks(page)
        .into_iter()
        .filter(|(language, _)| language == "console")
        .map(|(_, text)| text);
    consoles
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| line.strip_prefix("$ ").map(str::to_owned))
        .collect()
}

/// The variables that the page sets before the command that starts the server.
fn variables(page: &str) -> Vec<(String, String)> {
    let start = commands(page)
        .iter()
        .find_map(|line| Some(line.split_once("make run")?.0.to_owned()))
        .expect("the page says how to start the server");
    start
        .split_whitespace()
        .map(|setting| {
            let (name, value) = setting.split_once('=').expect("NAME=value");
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

/// Starts the proxy of the page, on another port than the page names.
fn proxy(page: &str, url: &str, directory: &Path) -> Option<Server> {
    let commands = commands(page);
    let arguments = commands
        .iter()
        .find_map(|line| line.strip_prefix("talos proxy "))?
        .replace("http://localhost:4420", url);
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .args(["proxy", "--listen", "127.0.0.1:0"])
        .args(arguments.split_whitespace());
    Some(Server::start(command, directory.join("proxy.log")))
}

/// Whether `line` is the line `pattern`, in which `…` is any text.
fn line_matches(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or_default()) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

/// Whether `output` matches the lines of `expected`.
fn matches(expected: &[&str], output: &[&str]) -> bool {
    match (expected.split_first(), output.split_first()) {
        (None, None) => true,
        (Some((&"…", rest)), _) => (0..=output.len()).any(|skip| matches(rest, &output[skip..])),
        (Some((pattern, expected)), Some((line, output))) => {
            line_matches(pattern, line.trim_end()) && matches(expected, output)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn run(name: &str) {
    let page = fs::read_to_string(docs().join(name)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let server = DevServer::start_with(directory.path(), &variables(&page));
    let url = format!("http://localhost:{}", server.address.port());
    let proxy = proxy(&page, &url, directory.path());
    let proxy_url = proxy
        .as_ref()
        .map(|proxy| format!("http://{}", proxy.address));
    let here = |text: &str| {
        let text = text.replace("http://localhost:4420", &url);
        proxy_url.as_ref().map_or(text.clone(), |proxy_url| {
            text.replace("http://localhost:8080", proxy_url)
        })
    };
    run_blocks(name, &page, here, &url, directory.path());
    if let Some(proxy) = proxy {
        proxy.stop();
    }
    server.stop();
}

/// Runs the `sh` blocks of a page in `directory`, and compares what they print. `here` replaces the
/// addresses of the page by those of this test; `url` is that of the server.
pub fn run_blocks(
    name: &str,
    page: &str,
    here: impl Fn(&str) -> String,
    url: &str,
    directory: &Path,
) {
    let steps = steps(page);
    let mut script = String::from("exec 2>&1\n");
    for step in &steps {
        script.push_str(&step.script);
        script.push_str(&format!("echo; echo '{MARK}'\n"));
    }
    let mut command = Command::new("bash");
    without_talos_variables(&mut command);
    let programs = Path::new(TALOS).parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let output = command
        .args(["-euo", "pipefail", "-c"])
        .arg(here(&script))
        .env("PATH", path)
        .env("TALOS_URL", url)
        .current_dir(directory)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    eprintln!("{printed}");
    assert!(
        output.status.success(),
        "a command of {name} failed: its last output is above"
    );
    let outputs: Vec<&str> = printed.split(&format!("{MARK}\n")).collect();
    assert_eq!(outputs.len(), steps.len() + 1, "a block ended the shell");
    for (step, printed) in steps.iter().zip(outputs) {
        let Some(expected) = &step.output else {
            continue;
        };
        let expected = here(expected);
        let expected: Vec<&str> = expected.lines().collect();
        let printed: Vec<&str> = printed.trim_end().lines().collect();
        assert!(
            matches(&expected, &printed),
            "{name}: this block\n{}\nis said to print\n{}\nand printed\n{}",
            step.script,
            expected.join("\n"),
            printed.join("\n"),
        );
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

macro_rules! pages {
    ($($test:ident: $name:literal,)*) => {
        const PAGES: &[&str] = &[$($name),*];
        $(#[test]
        fn $test() {
            run($name);
        })*
    };
}

pages! {
    admin_tokens: "admin-tokens.md",
    issue_and_verify: "issue-and-verify.md",
    import: "import.md",
    lifecycle: "lifecycle.md",
    revoke_many: "revoke-many.md",
    ip_restrictions: "ip-restrictions.md",
    derive: "derive.md",
    rate_limits: "rate-limits.md",
    errors: "errors.md",
    changes: "changes.md",
    backups: "backup.md",
    edge_proxy: "proxy.md",
    audit_log: "audit.md",
    command_line: "command-line.md",
    compatibility: "compatibility.md",
}

#[test]
fn no_page_is_left_out() {
    for entry in fs::read_dir(docs()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = PAGES.contains(&name.as_str()) || NOT_RUN.contains(&name.as_str());
        let is_page = Path::new(&name)
            .extension()
            .is_some_and(|kind| kind == "md");
        assert!(known || !is_page, "{name} is not run");
    }
}

#[test]
fn blocks_and_commands_of_a_page_are_found() {
    let page = "```console\n$ A=1 B=x make run\n```\n```sh\necho\n```\n\n```output\nx\n```\n```json\n{}\n```\n```sh\ntwo\n```\n";
    let step = |script: &str, output: Option<&str>| VerifyStep {
        script: script.to_owned(),
        output: output.map(str::to_owned),
    };
    assert_eq!(
        steps(page),
        [step("echo\n", Some("x\n")), step("two\n", None)]
    );
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(variables(page), [set("A", "1"), set("B", "x")]);
    assert!(variables("```console\n$ make run\n```\n").is_empty());
}

#[test]
fn outputs_are_compared_exactly() {
    for (pattern, line, same) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a", "ba", false),
        ("a…", "abc", true),
        ("…c", "abc", true),
        ("…b", "abc", false),
        ("a…c…e", "abcde", true),
        ("a…d…c", "abcde", false),
        ("a…", "b", false),
        ("…", "", true),
    ] {
        assert_eq!(line_matches(pattern, line), same, "{pattern} {line}");
    }
    assert!(matches(&["a", "…", "d"], &["a", "b", "c", "d"]));
    assert!(matches(&["a", "…"], &["a"]));
    assert!(!matches(&["a"], &["a", "b"]));
    assert!(!matches(&["a", "b"], &["a"]));
    assert!(!matches(&["…", "d"], &["a", "b"]));
}
