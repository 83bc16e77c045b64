//! Environment variables: `TALOS_` and the path of a key in upper case, with `_` for `.`. A list is
//! one variable with commas or a JSON array, or one variable for each item: `_0`, `_1`, …. A list
//! of mappings is a JSON array, and an item of it a JSON object. A variable of a secret may instead
//! end in `_FILE` and name a file that holds the value. An empty variable counts as not set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::assignment::Assignment;
use crate::error::{Problem, Warning};
use crate::input::Input;
use crate::key::{Key, Sensitivity};
use crate::keys::KEYS;
use crate::list_text;
use crate::mapping::Mapping;
use crate::secret_file;
use crate::suggestion::suggest;

const PREFIX: &str = "TALOS_";
/// These belong to the command line (its endpoint, its admin token, its files for TLS) and to the
/// tests.
const NOT_SETTINGS: [&str; 6] = [
    "TALOS_URL",
    "TALOS_TOKEN",
    "TALOS_TOKEN_FILE",
    "TALOS_CA",
    "TALOS_CERT",
    "TALOS_KEY",
];
const NOT_SETTINGS_PREFIX: &str = "TALOS_TEST_";

/// What the environment says about the settings.
#[derive(Default)]
pub(crate) struct Environment {
    /// The values that it gives to keys.
    pub(crate) assignments: Vec<Assignment>,
    /// Values that cannot be read, and lists with a gap.
    pub(crate) problems: Vec<Problem>,
    /// Variables that name no key. They do not stop the start: container platforms set variables
    /// such as `TALOS_PORT` for a service whose name is `talos`.
    pub(crate) warnings: Vec<Warning>,
}

/// Reads every variable whose name begins with `TALOS_`.
pub(crate) fn read(variables: impl Iterator<Item = (String, String)>) -> Environment {
    let mut ours: BTreeMap<String, String> = variables
        .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
        .filter(|(name, _)| {
            !NOT_SETTINGS.contains(&name.as_str()) && !name.starts_with(NOT_SETTINGS_PREFIX)
        })
        .collect();
    let mut read = Environment::default();
    for key in KEYS {
        match take(&mut ours, key) {
            Ok(None) => {}
            Ok(Some((place, input))) => read.assignments.push(Assignment { key, place, input }),
            Err((place, message)) => read.problems.push(Problem {
                place,
                key: key.path.to_owned(),
                message,
            }),
        }
    }
    for name in ours.into_keys() {
        match list_of_item(&name) {
            // The item would be lost without a word that stops anybody.
            Some(list) => read.problems.push(Problem {
                key: list.path.to_owned(),
                message: format!(
                    "an item before it is missing; number the items from {}_0 without a gap",
                    list.variable()
                ),
                place: name,
            }),
            None => read.warnings.push(unknown(&name)),
        }
    }
    read
}

/// The list of which `name` would be an item.
fn list_of_item(name: &str) -> Option<&'static Key> {
    let lists = KEYS.iter().filter(|key| key.is_list());
    lists.into_iter().find(|key| {
        let item = name.strip_prefix(&key.variable());
        let item = item.and_then(|rest| rest.strip_prefix('_'));
        let index = item.map(|item| item.strip_suffix(secret_file::SUFFIX).unwrap_or(item));
        index.is_some_and(|index| index.parse::<usize>().is_ok())
    })
}

/// Removes the variables of `key`. Returns the place of its value, and the value; an error is the
/// place and what is wrong.
fn take(
    ours: &mut BTreeMap<String, String>,
    key: &'static Key,
) -> Result<Option<(String, Input)>, (String, String)> {
    let variable = key.variable();
    let file_variable = match key.sensitivity {
        Sensitivity::Secret => format!("{variable}{}", secret_file::SUFFIX),
        Sensitivity::Public => String::new(),
    };
    let whole = ours.remove(&variable);
    let file = ours.remove(&file_variable);
    let items = if key.is_list() {
        take_items(ours, &variable, key.sensitivity)?
    } else {
        Vec::new()
    };
    let twice = |other: &str| {
        let message = format!("set both as {variable} and {other}; use only one of them");
        Err((variable.clone(), message))
    };
    let (place, input) = match (whole, file, items.is_empty()) {
        (None, None, true) => return Ok(None),
        (Some(_), Some(_), _) => return twice(&format!("as {file_variable}")),
        (Some(_), None, false) => return twice("item by item"),
        (None, Some(_), false) => {
            let message = "set both as a whole and item by item; use only one of them";
            return Err((file_variable, message.to_owned()));
        }
        (Some(text), None, true) if key.kind.takes_mappings() => {
            let mappings = Mapping::list(&text).map_err(|message| (variable.clone(), message))?;
            (variable, Input::Mappings(mappings))
        }
        (Some(text), None, true) if key.is_list() => {
            let input = match list_text::json(&text, key) {
                Some(read) => read.map_err(|message| (variable.clone(), message))?,
                None => Input::Many(split(&text)),
            };
            (variable, input)
        }
        (Some(text), None, true) => (variable, Input::One(text)),
        (None, None, false) if key.kind.takes_mappings() => {
            let mapping = |(index, text): (usize, &String)| {
                Mapping::item(text).map_err(|message| (format!("{variable}_{index}"), message))
            };
            let mappings = items
                .iter()
                .enumerate()
                .map(mapping)
                .collect::<Result<_, _>>()?;
            (variable, Input::Mappings(mappings))
        }
        (None, None, false) => {
            let input = list_text::items(items, key)
                .map_err(|(index, message)| (format!("{variable}_{index}"), message))?;
            (variable, input)
        }
        (None, Some(path), true) => {
            let input =
                read_file(&path, key).map_err(|message| (file_variable.clone(), message))?;
            (file_variable, input)
        }
    };
    Ok(Some((place, input)))
}

/// The value that a file holds. A list is a JSON array, or has one item a line.
fn read_file(path: &str, key: &Key) -> Result<Input, String> {
    if !key.is_list() {
        return secret_file::read(path).map(Input::One);
    }
    let text = secret_file::read(path)?;
    list_text::json(&text, key).unwrap_or_else(|| Ok(Input::Many(secret_file::lines(&text))))
}

/// The files that variables of secrets name.
pub(crate) fn files(variables: &[(String, String)]) -> Vec<PathBuf> {
    let secrets: Vec<String> = KEYS
        .iter()
        .filter(|key| key.sensitivity == Sensitivity::Secret)
        .map(Key::variable)
        .collect();
    let is_of = |name: &str, variable: &String| {
        let item = name.strip_prefix(variable.as_str());
        item.is_some_and(|item| {
            let index = item.strip_prefix('_').unwrap_or("");
            item.is_empty() || !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let named = variables.iter().filter(|(name, path)| {
        let name = name.strip_suffix(secret_file::SUFFIX);
        !path.is_empty()
            && name.is_some_and(|name| secrets.iter().any(|variable| is_of(name, variable)))
    });
    named.map(|(_, path)| PathBuf::from(path)).collect()
}

/// Removes `NAME_0`, `NAME_1`, … up to the first gap; of a secret, each may be `NAME_0_FILE`
/// instead. Variables after a gap stay and are reported.
fn take_items(
    ours: &mut BTreeMap<String, String>,
    variable: &str,
    sensitivity: Sensitivity,
) -> Result<Vec<String>, (String, String)> {
    let mut items = Vec::new();
    loop {
        let name = format!("{variable}_{}", items.len());
        let file_name = format!("{name}{}", secret_file::SUFFIX);
        let path = match sensitivity {
            Sensitivity::Secret => ours.remove(&file_name),
            Sensitivity::Public => None,
        };
        items.push(match (ours.remove(&name), path) {
            (None, None) => return Ok(items),
            (Some(text), None) => text,
            (None, Some(path)) => {
                secret_file::read(&path).map_err(|message| (file_name, message))?
            }
            (Some(_), Some(_)) => {
                let message =
                    format!("set both as {name} and as {file_name}; use only one of them");
                return Err((name, message));
            }
        });
    }
}

fn split(text: &str) -> Vec<String> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

fn unknown(name: &str) -> Warning {
    let variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let advice = match suggest(name, variables.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => {
            "the name of a setting is TALOS_ and the path of its key, such as TALOS_SERVE_HTTP_PORT"
                .to_owned()
        }
    };
    Warning {
        key: "environment",
        message: format!("{name}: no such setting, so it is ignored; {advice}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)]) -> Environment {
        read(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    fn only(pairs: &[(&str, &str)]) -> Input {
        let mut read = read_pairs(pairs);
        assert_eq!(read.assignments.len(), 1);
        assert_eq!((read.problems, read.warnings), (Vec::new(), Vec::new()));
        read.assignments.remove(0).input
    }

    const RETIRED: &str = "TALOS_CREDENTIALS_API_KEYS_PREFIX_RETIRED";

    #[test]
    fn scalars_and_both_forms_of_lists() {
        let many =
            |items: &[&str]| Input::Many(items.iter().map(|item| (*item).to_owned()).collect());
        assert_eq!(
            only(&[("TALOS_SERVE_HTTP_PORT", "1,2")]),
            Input::One("1,2".to_owned())
        );
        assert_eq!(only(&[(RETIRED, "a, b,c")]), many(&["a", "b", "c"]));
        assert_eq!(only(&[(RETIRED, "[]")]), many(&[]));
        assert_eq!(
            only(&[(RETIRED, r#"["a", "b,c", 7]"#)]),
            many(&["a", "b,c", "7"])
        );
        let items = [
            (format!("{RETIRED}_1"), "b,c"),
            (format!("{RETIRED}_0"), "a"),
        ];
        let items: Vec<(&str, &str)> = items
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        assert_eq!(only(&items), many(&["a", "b,c"]));
    }

    #[test]
    fn a_gap_and_both_forms_are_refused() {
        let (first, third) = (format!("{RETIRED}_0"), format!("{RETIRED}_2"));
        for pairs in [
            vec![(first.as_str(), "a"), (third.as_str(), "c")],
            vec![(third.as_str(), "c")],
            vec![("TALOS_SECRETS_HMAC_RETIRED_1_FILE", "/x")],
            vec![(first.as_str(), "a"), (RETIRED, "b")],
        ] {
            let read = read_pairs(&pairs);
            assert_eq!(
                (read.problems.len(), read.warnings.len()),
                (1, 0),
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn empty_variables_are_not_set() {
        for name in [
            "TALOS_SERVE_HTTP_PORT",
            "TALOS_SERVE_HTTP_SOCKET",
            "TALOS_SECRETS_HMAC_CURRENT",
            "TALOS_SECRETS_HMAC_RETIRED_FILE",
            "TALOS_NO_SUCH_SETTING",
            RETIRED,
        ] {
            let read = read_pairs(&[(name, "")]);
            assert!(
                read.assignments.is_empty() && read.problems.is_empty(),
                "{name}"
            );
            assert_eq!(read.warnings, [], "{name}");
        }
        let file = [
            ("TALOS_SECRETS_HMAC_CURRENT", ""),
            ("TALOS_SECRETS_HMAC_CURRENT_FILE", "/nonexistent/x"),
        ];
        let problems = read_pairs(&file).problems;
        let problem = problems.first().map(Problem::to_string).expect("one");
        assert!(problem.contains("cannot read"), "{problem}");
    }

    #[test]
    fn unknown_variables_are_warned_about_and_foreign_ones_ignored() {
        let read = read_pairs(&[
            ("PATH", "x"),
            ("TALOS_URL", "x"),
            ("TALOS_TOKEN", "x"),
            ("TALOS_TOKEN_FILE", "x"),
            ("TALOS_TEST_KILL_ROUNDS", "3"),
            ("TALOS_LOG_LEVLE", "info"),
            ("TALOS_PORT", "tcp://10.0.0.1:4420"),
            ("TALOS_SERVE_HTTP_PORT_0", "1"),
        ]);
        assert_eq!((read.assignments.len(), read.problems.len()), (0, 0));
        let warnings: Vec<String> = read.warnings.iter().map(Warning::to_string).collect();
        let [misspelt, foreign, item] = warnings.as_slice() else {
            panic!("{warnings:?}")
        };
        assert_eq!(
            misspelt,
            "environment: TALOS_LOG_LEVLE: no such setting, so it is ignored; did you mean TALOS_LOG_LEVEL?"
        );
        assert!(
            foreign.starts_with("environment: TALOS_PORT: no such setting"),
            "{foreign}"
        );
        assert!(
            item.ends_with("did you mean TALOS_SERVE_HTTP_PORT?"),
            "{item}"
        );
    }
}
