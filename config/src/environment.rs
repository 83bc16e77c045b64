//! Environment variables: `TALOS_` and the path of a key in upper case, with `_` for `.`. A list is
//! one variable with commas, or one variable for each item: `_0`, `_1`, …. A list of mappings is a
//! JSON array, and an item of it a JSON object. A variable of a secret
//! may instead end in `_FILE` and name a file that holds the value.

use std::collections::BTreeMap;

use crate::assignment::Assignment;
use crate::error::Problem;
use crate::input::Input;
use crate::key::{Key, Sensitivity};
use crate::keys::KEYS;
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

/// The values that the environment gives to keys. A `TALOS_` variable that names no key is a
/// problem: a misspelt override that silently does nothing is worse than a server that does not
/// start.
pub(crate) fn read(
    variables: impl Iterator<Item = (String, String)>,
) -> (Vec<Assignment>, Vec<Problem>) {
    let mut ours: BTreeMap<String, String> = variables
        .filter(|(name, _)| name.starts_with(PREFIX))
        .filter(|(name, _)| {
            !NOT_SETTINGS.contains(&name.as_str()) && !name.starts_with(NOT_SETTINGS_PREFIX)
        })
        .collect();
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for key in KEYS {
        match take(&mut ours, key) {
            Ok(None) => {}
            Ok(Some((place, input))) => found.push(Assignment { key, place, input }),
            Err((place, message)) => problems.push(Problem {
                place,
                key: key.path.to_owned(),
                message,
            }),
        }
    }
    problems.extend(ours.keys().map(|name| unknown(name)));
    (found, problems)
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
        (Some(text), None, true) if key.is_list() => (variable, Input::Many(split(&text))),
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
        (None, None, false) => (variable, Input::Many(items)),
        (None, Some(path), true) => {
            let read = if key.is_list() {
                secret_file::read_list(&path).map(Input::Many)
            } else {
                secret_file::read(&path).map(Input::One)
            };
            let input = read.map_err(|message| (file_variable.clone(), message))?;
            (file_variable, input)
        }
    };
    Ok(Some((place, input)))
}

/// Removes `NAME_0`, `NAME_1`, … up to the first gap; of a secret, each may be `NAME_0_FILE`
/// instead. Variables after a gap stay and are reported as unknown.
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

fn unknown(name: &str) -> Problem {
    let variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let message = match suggest(name, variables.iter().map(String::as_str)) {
        Some(meant) => format!("no such setting; did you mean {meant}?"),
        None => "no such setting; the name is TALOS_ and the path of a key, such as TALOS_SERVE_HTTP_PORT".to_owned(),
    };
    Problem {
        place: name.to_owned(),
        key: String::new(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)]) -> (Vec<Assignment>, Vec<Problem>) {
        read(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    fn only(pairs: &[(&str, &str)]) -> Input {
        let (mut found, problems) = read_pairs(pairs);
        assert_eq!((found.len(), problems), (1, Vec::new()));
        found.remove(0).input
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
        assert_eq!(only(&[(RETIRED, "")]), many(&[]));
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
    fn a_gap_both_forms_and_items_of_a_scalar_are_refused() {
        let (first, third) = (format!("{RETIRED}_0"), format!("{RETIRED}_2"));
        for pairs in [
            vec![(first.as_str(), "a"), (third.as_str(), "c")],
            vec![(first.as_str(), "a"), (RETIRED, "b")],
        ] {
            assert_eq!(read_pairs(&pairs).1.len(), 1, "{pairs:?}");
        }
        assert_eq!(read_pairs(&[("TALOS_SERVE_HTTP_PORT_0", "1")]).1.len(), 1);
    }

    #[test]
    fn unknown_variables_are_refused_and_foreign_ones_ignored() {
        let (found, problems) = read_pairs(&[
            ("PATH", "x"),
            ("TALOS_URL", "x"),
            ("TALOS_TOKEN", "x"),
            ("TALOS_TOKEN_FILE", "x"),
            ("TALOS_TEST_KILL_ROUNDS", "3"),
            ("TALOS_LOG_LEVLE", "info"),
        ]);
        assert_eq!((found.len(), problems.len()), (0, 1));
        let problem = problems.first().map(Problem::to_string).expect("one");
        assert_eq!(
            problem,
            "TALOS_LOG_LEVLE: no such setting; did you mean TALOS_LOG_LEVEL?"
        );
    }
}
