//! The schemas of texts that have a form. Their patterns are regular expressions of ECMA-262, as
//! JSON Schema wants them. A pattern matches only what the readers accept; where they accept some
//! rare spelling too, such as `1h1h`, the pattern does without it.

use serde_json::{Value, json};
use talos_model::duration;

use crate::form::Form;
use crate::json::camel_case;
use crate::limits;
use crate::names::{Enumeration, EventName, KeyStatus};
use crate::update::CHANGEABLE;

/// Seconds of the units of a duration, each with the units that may follow it and how often these
/// fit into it.
const UNITS: [(&str, u64, &str); 7] = [
    ("y", 31_536_000, "(?:(?:1[01]|[0-9])mo)?"),
    ("mo", 2_592_000, "(?:[0-3]w)?"),
    ("w", 604_800, "(?:[0-6]d)?"),
    ("d", 86_400, "(?:(?:2[0-3]|1?[0-9])h)?"),
    ("h", 3_600, "(?:[1-5]?[0-9]m)?(?:[1-5]?[0-9]s)?"),
    ("m", 60, "(?:[1-5]?[0-9]s)?"),
    ("s", 1, ""),
];

/// Adds what `form` demands to the schema of a text. `lifetime_max_s` is the longest lifetime of a
/// key, in seconds.
pub(super) fn constrain(schema: &mut Value, form: Form, lifetime_max_s: u64) {
    let Value::Object(members) = schema else {
        return;
    };
    let (word, value) = match form {
        Form::Any => return,
        Form::Filled => ("minLength", json!(1)),
        Form::Empty => ("maxLength", json!(0)),
        Form::NoControls => ("pattern", json!(r"^[^\u0000-\u001f\u007f-\u009f]*$")),
        Form::OneOf(names) => {
            let names: Vec<&str> = names.iter().copied().chain([""]).collect();
            ("enum", json!(names))
        }
        Form::Lifetime => {
            let some = durations(
                lifetime_max_s.min(limits::TTL_SECONDS_MAX),
                r"(?:\.[0-9]{1,9})?",
            );
            ("pattern", json!(format!("^(?:{some}|0s?)?$")))
        }
        Form::WholeSeconds => {
            let some = durations(duration::SECONDS_MAX, "");
            ("pattern", json!(format!("^(?:{some})$")))
        }
        Form::Block => ("pattern", json!(block())),
        Form::Tenant => ("pattern", json!(tenant())),
        Form::Instant => ("format", json!("date-time")),
        Form::Position => {
            let number = "(?:0|[1-9][0-9]{0,18})";
            ("pattern", json!(format!(r"^(?:0|{number}\.{number})?$")))
        }
        Form::Event => ("enum", json!(EventName::names())),
        Form::Filter => ("pattern", json!(filter())),
        Form::Mask => ("pattern", json!(mask())),
    };
    members.insert(word.to_owned(), value);
}

/// Durations from one second to `max_s` seconds. `decimals` may follow the digits of seconds.
fn durations(max_s: u64, decimals: &str) -> String {
    let mut forms = Vec::new();
    for (unit, seconds, rest) in UNITS {
        let most = max_s / seconds;
        if most == 0 {
            continue;
        }
        // The rest is less than one unit.
        if most > 1 {
            let decimals = if unit == "s" { decimals } else { "" };
            forms.push(format!("(?:{}){decimals}{unit}{rest}", up_to(most - 1)));
        }
        forms.push(format!("{most}{unit}"));
    }
    forms.join("|")
}

/// Whole numbers from 1 to `most`, without leading zeros.
fn up_to(most: u64) -> String {
    let digits = most.to_string();
    let mut forms = Vec::new();
    if digits.len() > 1 {
        forms.push(format!("[1-9][0-9]{{0,{}}}", digits.len() - 2));
    }
    for (index, digit) in digits.char_indices() {
        let least = if index == 0 { '1' } else { '0' };
        let Some(below) = char::from_u32(u32::from(digit) - 1).filter(|below| *below >= least)
        else {
            continue;
        };
        let (before, after) = (digits.get(..index), digits.len() - index - 1);
        let before = before.unwrap_or_default();
        forms.push(format!("{before}[{least}-{below}][0-9]{{{after}}}"));
    }
    forms.push(digits);
    forms.join("|")
}

/// Blocks of IPv4 and IPv6 addresses (RFC 4632 §3.1, RFC 4291 §2.2 and §2.3).
fn block() -> String {
    let byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    let v4 = format!(r"(?:{byte}\.){{3}}{byte}");
    let group = "[0-9a-fA-F]{1,4}";
    let mut v6 = vec![
        format!("(?:{group}:){{7}}{group}"),
        format!("(?:{group}:){{6}}{v4}"),
        "::".to_owned(),
    ];
    // Groups before and after the `::`, which stands for at least one group of zeros.
    for before in 0..=7 {
        let head = if before == 0 {
            ":".to_owned()
        } else {
            format!("(?:{group}:){{{before}}}")
        };
        match 7 - before {
            0 => v6.push(format!("{head}:")),
            after if before == 0 => v6.push(format!("{head}(?::{group}){{1,{after}}}")),
            after => v6.push(format!("{head}(?::|(?::{group}){{1,{after}}})")),
        }
    }
    let v6 = v6.join("|");
    format!(r"^(?:{v4}/(?:3[0-2]|[12]?[0-9])|(?:{v6})/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))$")
}

/// The empty text, or a UUID in one of its forms.
fn tenant() -> String {
    let hex = "[0-9a-fA-F]";
    let plain = format!("{hex}{{8}}-{hex}{{4}}-{hex}{{4}}-{hex}{{4}}-{hex}{{12}}");
    format!(r"^(?:(?:urn:uuid:)?{plain}|\{{{plain}\}}|{hex}{{32}})?$")
}

/// The conditions that a list may have.
fn filter() -> String {
    let status: Vec<&str> = KeyStatus::VALUES.iter().map(|(name, _)| *name).collect();
    let status = format!("status *= *(?:{})", status.join("|"));
    let chars = limits::ACTOR_ID_CHARS;
    let actor = format!(r#"actor_id *= *"(?:[^"\\]|\\["\\]){{1,{chars}}}""#);
    format!("^ *(?:{status}(?: +AND +{actor})?|{actor}(?: +AND +{status})?)? *$")
}

/// The fields that can change, in both spellings.
fn mask() -> String {
    let names = CHANGEABLE.iter().map(|(field, _)| field.name);
    let names: Vec<String> = names
        .flat_map(|name| camel_case(name).into_iter().chain([name.to_owned()]))
        .collect();
    let name = format!("(?:{})", names.join("|"));
    format!("^(?:{name}(?:,{name})*)?$")
}
