//! `docs/fleet.md` works as written: its `sh` blocks run in order, and its HTML comments start,
//! kill and restart the nodes as the text says.

use std::collections::BTreeMap;
use std::process::Command;

use super::node::{Node, Place};
use crate::harness::TALOS;
use crate::harness::site::without_talos_variables;

const PAGE: &str = include_str!("../../docs/fleet.md");

#[test]
fn every_step_of_the_page_works() {
    let place = Place::new();
    let names = ["a", "b", "c"];
    let mut nodes: BTreeMap<_, _> = names.map(|name| (name, place.node(name))).into();
    let (mut block, mut steps) = (None::<String>, 0);
    for line in PAGE.lines() {
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (Some(_), "```") => {
                run(&place, &nodes, &block.take().unwrap());
                steps += 1;
            }
            (Some(text), line) => *text += &format!("{line}\n"),
            (None, line) => {
                let order = line.strip_prefix("<!-- ");
                if let Some(order) = order.and_then(|order| order.strip_suffix(" -->")) {
                    obey(&mut nodes, order);
                }
            }
        }
    }
    assert!(steps > 5, "only {steps} blocks were found");
}

fn obey(nodes: &mut BTreeMap<&str, Node>, order: &str) {
    let words: Vec<_> = order.split(' ').collect();
    let mut node = nodes.remove_entry(words[1]).unwrap();
    match words[..] {
        ["start", _] => {
            node.1.be_primary().start_ready();
        }
        ["start", _, "following", of] => {
            node.1.follow(&nodes[of]).start_ready();
        }
        ["restart", _, "following", of] => {
            node.1.stop();
            node.1.follow(&nodes[of]).start_ready();
        }
        ["kill", _] => node.1.kill(),
        _ => panic!("{order}"),
    }
    nodes.insert(node.0, node.1);
}

fn run(place: &Place, nodes: &BTreeMap<&str, Node>, script: &str) {
    let mut command = Command::new("bash");
    without_talos_variables(&mut command);
    let talos = std::path::Path::new(TALOS).parent().unwrap().display();
    let path = std::env::var("PATH").unwrap();
    command
        .args(["-eu", "-o", "pipefail", "-c", script])
        .env("PATH", format!("{talos}:{path}"))
        .current_dir(place.path());
    for (name, node) in nodes {
        command.env(name.to_uppercase(), node.url());
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
