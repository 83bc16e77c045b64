//! `talos changes tail`: it prints each change once, until it is interrupted.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::changes_feed::make_every_change;
use crate::harness::cli::talos;
use crate::harness::feed::lines;
use crate::harness::site::{Server, Site, without_talos_variables};
use crate::harness::{Driver, TALOS};

/// A running `talos changes tail`.
struct Tail {
    child: Child,
}

impl Tail {
    fn start(address: SocketAddr, arguments: &[&str]) -> Self {
        let mut command = Command::new(TALOS);
        without_talos_variables(&mut command);
        let child = command
            .args(["changes", "tail", "-e", &format!("http://{address}")])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child }
    }

    fn interrupt(mut self) -> (ExitStatus, String) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let mut remarks = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut remarks).unwrap();
        (self.child.wait().unwrap(), remarks)
    }
}

#[test]
fn tail_writes_each_change_once_over_restarts_until_it_is_interrupted() {
    let site = Site::new(Driver::Epoll);
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut starts = 0;
    let mut start = || {
        starts += 1;
        let mut command = site.command();
        command.env("TALOS_SERVE_HTTP_PORT", port.to_string());
        Server::start(
            command,
            site.directory().join(format!("on-one-port-{starts}.log")),
        )
    };
    let server = start();
    server.connect().issue("one");
    let mut tail = Tail::start(server.address, &["--after", "0", "--format", "json"]);
    let mut lines = lines(tail.child.stdout.take().unwrap());
    let mut position = || {
        let change: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
        change["position"].as_str().unwrap().to_owned()
    };
    assert_eq!(position(), "1.1");
    server.connect().issue("two");
    assert_eq!(position(), "1.2");
    server.kill();
    let server = start();
    server.connect().issue("three");
    assert_eq!(position(), "1.3");
    server.stop();
    let server = start();
    server.connect().issue("four");
    assert_eq!(position(), "1.4");
    let (status, remarks) = tail.interrupt();
    assert_eq!(status.code(), Some(0), "{remarks}");
    assert!(remarks.contains("connecting again"), "{remarks}");
    assert_eq!(lines.next(), None);
    server.stop();
}

#[test]
fn tail_prints_a_filtered_table_and_ends_with_its_reader() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    make_every_change(&mut server.connect());
    let kinds = "IssuedAPIKeyRotated,ImportedAPIKeyDeleted";
    let mut tail = Tail::start(server.address, &["--after", "0", "--kind", kinds]);
    let mut lines = lines(tail.child.stdout.take().unwrap());
    assert!(lines.next().unwrap().starts_with("POSITION"));
    for (place, event) in [
        ("1.4 ", "IssuedAPIKeyRotated"),
        ("1.9 ", "ImportedAPIKeyDeleted"),
    ] {
        let line = lines.next().unwrap();
        assert!(line.starts_with(place) && line.contains(event), "{line}");
    }
    // The command has nothing to write, so it checks whether its output is still read.
    drop(lines);
    assert_eq!(tail.child.wait().unwrap().code(), Some(0));
    server.stop();
}

#[test]
fn tail_reports_errors_in_one_line() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let address = server.address;
    let ran = talos(address, &["changes", "tail", "--tenant", "me"]);
    ran.assert_one_line_and_code_1(&["tenant: must be a UUID"]);
    server.stop();
    let ran = talos(address, &["changes", "tail"]);
    ran.assert_one_line_and_code_1(&["no server at"]);
}
