//! Tests that `docs/loadtest.md` is right.

use std::collections::BTreeSet;
use std::ffi::OsString;

use serde_json::Value;

use crate::hostile::report::HostileReport;
use crate::report::fixture::full;

const PAGE: &str = include_str!("../../docs/loadtest.md");

/// The lines of the page's `sh` blocks.
fn commands() -> Vec<&'static str> {
    let mut inside = false;
    PAGE.lines()
        .filter(|line| {
            let fence = line.starts_with("```");
            inside = if fence { *line == "```sh" } else { inside };
            inside && !fence
        })
        .collect()
}

#[test]
fn every_command_of_the_page_is_accepted() {
    let commands = commands();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        if command.starts_with("taskset -c 0 talos serve") {
            continue;
        }
        assert!(command.starts_with("talos-loadtest"), "{command}");
        let command = command.replace("$!", "17");
        let words = command.split_ascii_whitespace().map(OsString::from);
        crate::check(words).unwrap_or_else(|said| panic!("{command}: {said}"));
    }
}

/// The names of all fields of a report. Names of classes are values.
fn fields(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let class = crate::class::Class::ALL
                    .iter()
                    .any(|class| class.name() == name);
                if !class {
                    names.insert(name.clone());
                }
                fields(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, names)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_report_is_described() {
    let mut names = BTreeSet::new();
    fields(&serde_json::to_value(full()).unwrap(), &mut names);
    assert!(names.len() > 60, "{names:?}");
    let (_, section) = PAGE.split_once("### The JSON").unwrap();
    for name in names {
        assert!(section.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn every_field_of_a_hostile_report_and_every_kind_is_described() {
    let mut names = BTreeSet::new();
    let report = serde_json::to_value(HostileReport::example()).unwrap();
    fields(&report, &mut names);
    assert!(names.len() > 50, "{names:?}");
    let (_, section) = PAGE.split_once("## Hostile clients").unwrap();
    let (section, _) = section.split_once("## Reading the result").unwrap();
    for name in names {
        // Settings are named by their keys.
        assert!(
            name.contains('.') || section.contains(&format!("`{name}`")),
            "{name}"
        );
    }
    for attack in crate::hostile::Attack::ALL {
        assert!(
            section.contains(&format!("`{}`", attack.name())),
            "{attack:?}"
        );
    }
}
