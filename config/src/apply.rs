//! Applies the values of keys to settings.

use crate::assignment::Assignment;
use crate::error::{Problem, Warning};
use crate::input::{Fault, Input};
use crate::key::{Fallback, Key, Sensitivity};
use crate::keys::KEYS;
use crate::placeholder;
use crate::settings::Settings;

/// The most characters of a bad value that a message repeats.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// A default for this start only. It overrides the default of the table; the file and the
/// environment override it.
#[derive(Clone, Debug)]
pub struct Preset {
    /// The full path of the key.
    pub path: &'static str,
    /// The value; for a list, each item.
    pub values: Vec<String>,
}

/// Settings to which all keys were applied.
#[derive(Debug)]
pub(crate) struct Applied {
    pub settings: Settings,
    pub warnings: Vec<Warning>,
    /// Required keys without a value.
    pub missing: Vec<Problem>,
}

/// Applies the value of every key, or its fallback, to blank settings.
pub(crate) fn apply_all(
    mut assignments: Vec<Assignment>,
    presets: &[Preset],
    problems: &mut Vec<Problem>,
) -> Applied {
    let assigned: Vec<&str> = assignments.iter().map(|one| one.key.path).collect();
    let mut applied = Applied {
        settings: Settings::blank(),
        warnings: Vec::new(),
        missing: Vec::new(),
    };
    for key in KEYS {
        let position = assignments.iter().position(|one| one.key.path == key.path);
        let assignment = match position {
            Some(at) => assignments.swap_remove(at),
            None => match fallback(key, presets, &assigned) {
                Ok(Some(input)) => Assignment {
                    key,
                    place: String::new(),
                    input,
                },
                Ok(None) => continue,
                Err(problem) => {
                    // A key whose value could not be read is not missing; one message is enough.
                    if !problems.iter().any(|other| other.key == problem.key) {
                        applied.missing.push(problem);
                    }
                    continue;
                }
            },
        };
        applied
            .warnings
            .extend(apply(&mut applied.settings, assignment, problems));
    }
    applied
}

/// Applies values over those that `settings` have.
pub(crate) fn apply_over(
    settings: &mut Settings,
    assignments: Vec<Assignment>,
    problems: &mut Vec<Problem>,
) -> Vec<Warning> {
    let apply = |assignment| apply(settings, assignment, problems);
    assignments.into_iter().filter_map(apply).collect()
}

fn apply(
    settings: &mut Settings,
    assignment: Assignment,
    problems: &mut Vec<Problem>,
) -> Option<Warning> {
    let Assignment { key, place, input } = assignment;
    let read = refuse_references(&input).and_then(|()| key.kind.apply(settings, &input));
    match read {
        Ok(message) => message.map(|message| Warning {
            key: key.path,
            message,
        }),
        Err(fault) => {
            problems.push(refusal(key, place, &fault));
            None
        }
    }
}

/// The value of a key that no source sets; `assigned` are the paths of the keys that some source
/// sets.
fn fallback(key: &Key, presets: &[Preset], assigned: &[&str]) -> Result<Option<Input>, Problem> {
    if let Some(preset) = presets.iter().find(|preset| preset.path == key.path) {
        let mut values = preset.values.clone();
        return Ok(Some(if key.is_list() {
            Input::Many(values)
        } else {
            Input::One(values.pop().unwrap_or_default())
        }));
    }
    match key.fallback {
        Fallback::Value(text) if key.is_list() => Ok(Some(Input::Many(
            text.split(',').map(ToOwned::to_owned).collect(),
        ))),
        Fallback::Value(text) => Ok(Some(Input::One(text.to_owned()))),
        Fallback::Unset(_) => Ok(None),
        Fallback::RequiredUnless { path, .. } if assigned.contains(&path) => Ok(None),
        Fallback::Required(advice) | Fallback::RequiredUnless { advice, .. } => {
            Err(Problem::of_key(
                key.path,
                format!(
                    "required but not set; {advice}; set it in the file or as {}",
                    key.variable()
                ),
            ))
        }
    }
}

/// Refuses values with references to variables, which nothing would replace.
fn refuse_references(input: &Input) -> Result<(), Fault> {
    for (item, text) in input.texts() {
        placeholder::check(text).map_err(|problem| Fault {
            item,
            value: text.to_owned(),
            problem,
        })?;
    }
    Ok(())
}

fn refusal(key: &Key, place: String, fault: &Fault) -> Problem {
    let item = fault
        .item
        .map(|item| format!("item {item}: "))
        .unwrap_or_default();
    let shown = match key.sensitivity {
        Sensitivity::Public => format!("{:?}: ", shorten(&fault.value)),
        Sensitivity::Secret => String::new(),
    };
    let message = format!("{item}{shown}{}; allowed: {}", fault.problem, key.allowed());
    Problem {
        place,
        key: key.path.to_owned(),
        message,
    }
}

fn shorten(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}
