//! `config/talos.yaml` has every key with its description and its default.

use talos_config::{Fallback, KEYS, Key, SectionComments, YamlWriter, flow};

use super::compare;

/// What the file begins with.
const HEAD: &str = r#"# A complete configuration, with every key at its default. Put the secret into the environment and
# start the server:
#
#   export TALOS_SECRETS_HMAC_CURRENT="$(openssl rand -hex 32)"  # keep it: the keys depend on it
#   talos serve --config config/talos.yaml
#
# An environment variable can override every key: TALOS_ and the path in upper case, with _ for the
# dots, such as TALOS_SERVE_HTTP_PORT=8080. Write a list as a JSON array or with commas, or one
# variable for each item: _0, _1 and so on. An empty variable counts as not set. References such as
# ${NAME} are not replaced but refused. Top-level keys that begin with x- are ignored: they may hold
# YAML anchors.
# Durations: 500ms, 90s, 1h30m, 30d, 1y6mo. Sizes: 104857600, 64KiB, 256 MiB.
# `talos config explain KEY` explains a key. docs/configuration.md has a table of all keys.

"#;
/// The value of the required key that cannot be left out.
const ISSUER: &str = "http://localhost:4420";

fn value(key: &Key) -> String {
    match key.fallback {
        Fallback::Required(_) => ISSUER.to_owned(),
        Fallback::Value(_) => flow(&key.default_value()),
        Fallback::Unset(_) | Fallback::RequiredUnless { .. } if key.is_list() => "[]".to_owned(),
        Fallback::Unset(_) | Fallback::RequiredUnless { .. } => String::new(),
    }
}

/// What it means that a key is not set.
fn unset(key: &Key) -> String {
    match key.fallback {
        Fallback::Value(_) => String::new(),
        // Nothing more is said than that it is not set.
        Fallback::Unset(meaning) if meaning == "none" || meaning.starts_with("see ") => {
            String::new()
        }
        Fallback::Unset(meaning) => format!("Unset = {meaning}."),
        Fallback::Required(_) => "Required.".to_owned(),
        Fallback::RequiredUnless { path, .. } => format!("Required unless {path} is set."),
    }
}

/// What is allowed, without examples; nothing where the description or the value says it.
fn allowed(key: &Key) -> String {
    let allowed = key.allowed();
    let said = [
        "boolean",
        "constant",
        "IP address",
        "URL",
        "list of texts",
        "list of URLs",
        "list of texts or mappings",
    ];
    let any_text = allowed.contains("255 characters, none of them a control character");
    if said.contains(&key.kind_name()) || any_text {
        return String::new();
    }
    let (bounds, examples) = allowed.split_once(", such as ").unwrap_or((&allowed, ""));
    let zero = examples
        .split_once(", or ")
        .map(|(_, zero)| format!(", or {zero}"));
    let kinds = ["a whole number from ", "a duration from ", "a size from "];
    let bounds = kinds
        .iter()
        .find_map(|kind| bounds.strip_prefix(kind))
        .unwrap_or(bounds);
    format!("Allowed: {bounds}{}.", zero.unwrap_or_default())
}

/// An example of a list of mappings, whose form the empty list does not show.
fn example(key: &Key) -> String {
    match key.kind_name() {
        "list of mappings" if key.example_text() != "[]" => {
            format!("Example: {}", key.example_text())
        }
        _ => String::new(),
    }
}

#[test]
fn the_sample_file_has_every_key_with_its_description_and_its_default() {
    let mut yaml = YamlWriter::new(SectionComments::Written);
    for key in KEYS {
        let about = format!("{} {} {}", key.about, unset(key), allowed(key));
        yaml.key(key.path, &[&about, &example(key)], &value(key), "");
    }
    compare("config/talos.yaml", &format!("{HEAD}{}", yaml.finish()));
}
