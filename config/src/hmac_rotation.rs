//! Replaces the HMAC secret in the text of a configuration file, and leaves every other byte as it
//! is.

use std::fmt::Write as _;
use std::ops::Range;

use jiff::Timestamp;
use talos_model::Secret;
use talos_model::clock::UnixMillis;

use crate::apply::apply_over;
use crate::effective::Effective;
use crate::error::ConfigError;
use crate::file::{ConfigFile, FileContent};
use crate::input::{ExpiringItem, Input};
use crate::key::Key;
use crate::keys;
use crate::settings::Settings;
use crate::tree::{self, Located, Node};

const CURRENT: &str = "secrets.hmac.current";
const RETIRED: &str = "secrets.hmac.retired";
const ROLE: &str = "replication.role";
const KEY_SETS: &str = "credentials.derived_tokens.jwt.signing_keys.urls";
const BY_HAND: &str = "write it as one text on the line of the key, or change the file by hand: the new secret as current, the old one first in retired";

/// Why the secret of a file cannot be replaced.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The file, or the environment, is not a valid configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The secret is elsewhere, or is written in a way that is not edited. The text says what to
    /// do; it contains no secret.
    #[error("{0}")]
    Refused(String),
}

/// An entry of a mapping: its name and its value.
type Entry = (Located<String>, Located<Node>);

/// The file with `new` as `secrets.hmac.current`, and its old value as the first of
/// `secrets.hmac.retired`, until `expires_at` if that is given. The file may be that of a server or
/// that of a tenant. The result is loaded and compared: nothing else has changed in it.
///
/// # Errors
/// [`RotationError`]: a bad configuration, a secret that is not in the file or that `environment`
/// overrides, a node of a fleet, or a form of YAML that is not edited.
pub fn rotate_hmac(
    file: &ConfigFile,
    new: &Secret,
    expires_at: Option<UnixMillis>,
    environment: &[(String, String)],
) -> Result<ConfigFile, RotationError> {
    refuse_overridden(environment)?;
    check_values(file)?;
    let before = file.content()?;
    let Some(Input::One(old)) = input(&before, CURRENT) else {
        return Err(RotationError::Refused(format!(
            "{CURRENT} is not in this file; name the file that sets it (a tenant may have a file of its own), or change it where it comes from: an environment variable, a file of TALOS_…_FILE, or secrets.default"
        )));
    };
    let variables = || environment.iter().cloned();
    let loaded = Effective::load(Some(file), variables());
    refuse_fleet(&before, environment)?;
    let expires_at = expires_at.map(instant).transpose()?;
    let item = ExpiringItem {
        value: old.clone(),
        expires_at,
    };
    let text = edited(file.text().expose(), old, new.expose(), &item).ok_or_else(|| {
        RotationError::Refused(format!(
            "{CURRENT} or {RETIRED} is written in a form that this command does not edit; {BY_HAND}"
        ))
    })?;
    let after = file.with_text(text);
    let content = after.content().ok();
    if !content.is_some_and(|content| is_rotated(&before, &content, new.expose(), &item)) {
        return Err(RotationError::Refused(format!(
            "{CURRENT} or {RETIRED} cannot be changed without changing other settings; {BY_HAND}"
        )));
    }
    check_values(&after)?;
    if loaded.is_ok() {
        Effective::load(Some(&after), variables())?;
    }
    Ok(after)
}

/// Refuses variables with which an edit of the file has no effect.
fn refuse_overridden(environment: &[(String, String)]) -> Result<(), RotationError> {
    for key in [CURRENT, RETIRED].into_iter().filter_map(keys::find) {
        let names = [Some(key.variable()), key.file_variable()];
        let mut set = environment.iter().map(|(name, _)| name);
        let set = set.find(|name| names.iter().flatten().any(|of_key| of_key == *name));
        if let Some(name) = set {
            return Err(RotationError::Refused(format!(
                "{name} is set, and overrides {} in the file of a server; change the secret there. For the file of a tenant, unset {name} first",
                key.path
            )));
        }
    }
    Ok(())
}

/// Refuses a node of a fleet: the other nodes must know a secret before it signs.
fn refuse_fleet(file: &FileContent, environment: &[(String, String)]) -> Result<(), RotationError> {
    let variable = keys::find(ROLE).map(Key::variable).unwrap_or_default();
    let mut variables = environment.iter();
    let from_environment = variables.find(|(name, _)| *name == variable);
    let from_file = input(file, ROLE).and_then(|input| match input {
        Input::One(role) => Some(role),
        _ => None,
    });
    let role = from_environment.map(|(_, role)| role).or(from_file);
    if role.is_none_or(|role| role == "none") {
        return Ok(());
    }
    Err(RotationError::Refused(
        "this node is one of a fleet, in which a replica must know the new secret before the primary signs with it. Add a new secret to secrets.hmac.retired on the replicas, then on the primary; make it secrets.hmac.current on the primary, then on the replicas, with the old one in secrets.hmac.retired".to_owned(),
    ))
}

fn instant(at: UnixMillis) -> Result<String, RotationError> {
    // Whole seconds are enough, and a later reader is not misled by digits.
    let instant = Timestamp::from_second(at.seconds());
    let instant = instant.map_err(|_| {
        RotationError::Refused("the retired secret would expire too far in the future".to_owned())
    })?;
    Ok(instant.to_string())
}

fn input<'a>(content: &'a FileContent, path: &str) -> Option<&'a Input> {
    let mut assignments = content.assignments.iter();
    let found = assignments.find(|assignment| assignment.key.path == path);
    found.map(|assignment| &assignment.input)
}

/// Whether `after` differs from `before` in the two keys alone, and these are as they should be.
fn is_rotated(before: &FileContent, after: &FileContent, new: &str, item: &ExpiringItem) -> bool {
    let others = |content: &FileContent| {
        let others = content.assignments.iter();
        let others = others.filter(|one| ![CURRENT, RETIRED].contains(&one.key.path));
        let others = others.map(|one| (one.key.path, one.input.clone()));
        let unknown = content.unknown.iter().map(|(_, key)| key.clone());
        (others.collect::<Vec<_>>(), unknown.collect::<Vec<_>>())
    };
    let mut retired = vec![item.clone()];
    if let Some(Input::Expiring(old)) = input(before, RETIRED) {
        retired.extend_from_slice(old);
    }
    after.problems.is_empty()
        && others(before) == others(after)
        && input(after, CURRENT) == Some(&Input::One(new.to_owned()))
        && input(after, RETIRED) == Some(&Input::Expiring(retired))
}

/// Checks the values of the file as the loader does, apart from key sets: their paths are relative
/// to the directory in which the server runs.
fn check_values(file: &ConfigFile) -> Result<(), ConfigError> {
    let FileContent {
        mut assignments,
        mut problems,
        ..
    } = file.content()?;
    assignments.retain(|one| one.key.path != KEY_SETS);
    apply_over(&mut Settings::blank(), &assignments, &mut problems);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigError::Invalid(problems))
    }
}

/// The text with both keys changed; `None` if they are written in a form that is not edited.
fn edited(text: &str, old: &str, new: &str, item: &ExpiringItem) -> Option<String> {
    let root = tree::parse(text).ok()?.value;
    let hmac = inside(inside(root, "secrets")?, "hmac")?;
    let Node::Mapping(entries) = hmac else {
        return None;
    };
    let (name, value) = entry(&entries, "current")?;
    let line_start = line_start(text, name)?;
    let indent = text.get(line_start..offset(text, name)?)?;
    let is_flow = !indent.trim().is_empty();
    let current = token(text, offset(text, value)?, is_flow)?;
    let is_old = matches!(tree::parse(text.get(current.clone())?).ok()?.value, Node::Scalar(text) if text == old);
    if !is_old {
        return None;
    }
    let (at, added) = match entry(&entries, "retired") {
        None if is_flow => (current.end, format!(", retired: [{}]", flow(item))),
        None => {
            let rest = text.get(current.end..)?;
            let line = rest.split_inclusive('\n').next().unwrap_or_default();
            let end = end_of_line(line);
            let list = format!("{indent}retired:{end}{indent}  - {}{end}", flow(item));
            let missing = if line.ends_with('\n') { "" } else { end };
            (current.end + line.len(), format!("{missing}{list}"))
        }
        Some((_, list)) => add_to(text, list, item)?,
    };
    let mut edits = [(current, quoted(new)), (at..at, added)];
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = text.to_owned();
    for (range, by) in edits {
        text.replace_range(range, &by);
    }
    Some(text)
}

/// Where to add an item in front of the list, and the text to add.
fn add_to(text: &str, list: &Located<Node>, item: &ExpiringItem) -> Option<(usize, String)> {
    let Node::List(items) = &list.value else {
        return None;
    };
    let at = offset(text, list)?;
    if text.get(at..)?.starts_with('[') {
        let comma = if items.is_empty() { "" } else { ", " };
        return Some((at + 1, format!("{}{comma}", flow(item))));
    }
    let first = items.first()?;
    let start = line_start(text, first)?;
    let before = text.get(start..offset(text, first)?)?;
    if before.trim() != "-" {
        return None;
    }
    let line = text.get(start..)?.split_inclusive('\n').next()?;
    Some((
        start,
        format!("{before}{}{}", flow(item), end_of_line(line)),
    ))
}

fn end_of_line(line: &str) -> &'static str {
    if line.ends_with("\r\n") { "\r\n" } else { "\n" }
}

fn inside(node: Node, name: &str) -> Option<Node> {
    let Node::Mapping(entries) = node else {
        return None;
    };
    let mut entries = entries.into_iter();
    let found = entries.find(|(key, _)| key.value == name);
    found.map(|(_, node)| node.value)
}

fn entry<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries.iter().find(|(key, _)| key.value == name)
}

/// The byte at which the line of a node begins.
fn line_start<T>(text: &str, at: &Located<T>) -> Option<usize> {
    let lines_before = usize::try_from(at.line).ok()?.checked_sub(1)?;
    let lines = text.split_inclusive('\n').take(lines_before);
    Some(lines.map(str::len).sum())
}

/// The byte at which a node begins.
fn offset<T>(text: &str, at: &Located<T>) -> Option<usize> {
    let start = line_start(text, at)?;
    let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let (within, _) = text.get(start..)?.char_indices().nth(column)?;
    Some(start + within)
}

/// The scalar that begins at `start` and ends on the same line.
fn token(text: &str, start: usize, is_flow: bool) -> Option<Range<usize>> {
    let line = text.get(start..)?.lines().next()?;
    let length = match line.chars().next()? {
        '\'' => quote_end(line, '\'')?,
        '"' => quote_end(line, '"')?,
        '&' | '*' | '!' | '|' | '>' | '[' | '{' => return None,
        _ => {
            let line = line.split_once(" #").map_or(line, |(value, _)| value);
            let end = is_flow.then(|| line.find([',', ']', '}'])).flatten();
            line.get(..end.unwrap_or(line.len()))?.trim_end().len()
        }
    };
    Some(start..start + length)
}

/// The length of a quoted scalar at the beginning of the line. In single quotes a doubled quote
/// looks like the end of one scalar and the beginning of another.
fn quote_end(line: &str, quote: char) -> Option<usize> {
    let mut characters = line.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && quote == '"' {
            characters.next()?;
        } else if c == quote {
            let is_doubled = quote == '\'' && characters.peek().is_some_and(|(_, c)| *c == quote);
            if !is_doubled {
                return Some(at + 1);
            }
            characters.next();
        }
    }
    None
}

/// The item in a form that is allowed in every list.
fn flow(item: &ExpiringItem) -> String {
    let mut text = quoted(&item.value);
    if let Some(expires_at) = &item.expires_at {
        text.insert_str(0, "{value: ");
        // Writing to a string never fails.
        let _ = write!(text, ", expires_at: {}}}", quoted(expires_at));
    }
    text
}

/// A JSON string is a double-quoted scalar of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "the old secret, which is long enough";
    const NEW: &str = "0f2b9c7d4e6a8135f2b9c7d4e6a81350";
    const OTHER: &str = "an older secret that is long enough";

    fn rotated(text: &str, expires_at: Option<UnixMillis>) -> Result<String, String> {
        let file = ConfigFile::new("f.yaml".to_owned(), text.to_owned());
        let result = rotate_hmac(&file, &Secret::new(NEW.to_owned()), expires_at, &[]);
        result
            .map(|file| file.text().expose().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_but_the_two_keys_changes() {
        for (before, after) in [
            (
                "# top\nsecrets:\n  hmac:\n    current: OLD  # why\nquota: {api_keys_max: 7}\n",
                "# top\nsecrets:\n  hmac:\n    current: \"NEW\"  # why\n    retired:\n      - \"OLD\"\nquota: {api_keys_max: 7}\n",
            ),
            (
                "secrets:\n  hmac:\n    current: OLD",
                "secrets:\n  hmac:\n    current: \"NEW\"\n    retired:\n      - \"OLD\"\n",
            ),
            (
                "secrets:\r\n  hmac:\r\n    current: 'OLD'\r\n",
                "secrets:\r\n  hmac:\r\n    current: \"NEW\"\r\n    retired:\r\n      - \"OLD\"\r\n",
            ),
            (
                "secrets: {hmac: {current: 'OLD'}} # é\n",
                "secrets: {hmac: {current: \"NEW\", retired: [\"OLD\"]}} # é\n",
            ),
            (
                "secrets: {hmac: {retired: ['OTHER'], current: \"OLD\"}}\n",
                "secrets: {hmac: {retired: [\"OLD\", 'OTHER'], current: \"NEW\"}}\n",
            ),
            (
                "secrets:\n  hmac:\n    retired: []\n    current: OLD\n",
                "secrets:\n  hmac:\n    retired: [\"OLD\"]\n    current: \"NEW\"\n",
            ),
            (
                "secrets:\n  hmac:\n    current: OLD\n    retired:\n    # older\n    - value: OTHER\n      expires_at: 2027-01-31T00:00:00Z\n",
                "secrets:\n  hmac:\n    current: \"NEW\"\n    retired:\n    # older\n    - \"OLD\"\n    - value: OTHER\n      expires_at: 2027-01-31T00:00:00Z\n",
            ),
        ] {
            let [before, after] = [before, after].map(|text| {
                text.replace("OLD", OLD)
                    .replace("NEW", NEW)
                    .replace("OTHER", OTHER)
            });
            // A comma is not allowed in a plain scalar of a flow mapping; those are quoted above.
            assert_eq!(rotated(&before, None), Ok(after));
        }
    }

    #[test]
    fn the_old_secret_expires() {
        let text = format!("secrets:\n  hmac:\n    current: {OLD}\n");
        let after = rotated(&text, Some(UnixMillis(1_801_353_600_999))).expect("rotated");
        let item = format!("      - {{value: \"{OLD}\", expires_at: \"2027-01-31T00:00:00Z\"}}\n");
        assert!(after.ends_with(&item), "{after}");
    }

    #[test]
    fn other_forms_are_refused_without_the_secret() {
        for (text, word) in [
            ("", "not in this file"),
            ("secrets: {default: {current: 'OLD'}}\n", "not in this file"),
            (
                "secrets:\n  hmac:\n    current: &a OLD\n  pagination:\n    current: *a\n",
                "by hand",
            ),
            (
                "x-a: &a OLD\nsecrets:\n  hmac:\n    current: *a\n",
                "by hand",
            ),
            ("secrets:\n  hmac:\n    current: |-\n      OLD\n", "by hand"),
            (
                "secrets:\n  hmac:\n    current: the old secret,\n      which is long enough\n",
                "by hand",
            ),
            ("secrets.hmac.current: OLD\n", "by hand"),
            (
                "secrets:\n  hmac:\n    current: OLD\n    retired:\n",
                "by hand",
            ),
            (
                "secrets:\n  hmac: &h\n    current: OLD\n  pagination: *h\n",
                "by hand",
            ),
            ("secrets:\n  hmac:\n    current: short\n", "secrets.hmac"),
            (
                "replication: {role: primary}\nsecrets:\n  hmac:\n    current: OLD\n",
                "fleet",
            ),
            ("quota: {api_keys_max: []}\n", "quota.api_keys_max"),
            ("secrets: {", "not valid YAML"),
        ] {
            let error = rotated(&text.replace("OLD", OLD), None).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
            assert!(!error.contains(OLD), "{error}");
        }
    }

    #[test]
    fn a_variable_that_overrides_the_file_is_named() {
        for name in [
            "TALOS_SECRETS_HMAC_CURRENT",
            "TALOS_SECRETS_HMAC_CURRENT_FILE",
        ] {
            let text = format!("secrets:\n  hmac:\n    current: {OLD}\n");
            let file = ConfigFile::new("f.yaml".to_owned(), text);
            let variables = [(name.to_owned(), OTHER.to_owned())];
            let new = Secret::new(NEW.to_owned());
            let error = rotate_hmac(&file, &new, None, &variables)
                .err()
                .expect(name);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
