//! Every configuration of `docs/admin-protection.md` loads without a warning.

#![cfg(test)]

use talos_config::Settings;

const PAGE: &str = include_str!("../../docs/admin-protection.md");

#[test]
fn every_configuration_of_the_page_loads() {
    let required = [
        ("TALOS_CREDENTIALS_ISSUER", "https://keys.example.com"),
        (
            "TALOS_SECRETS_HMAC_CURRENT",
            "correct-horse-battery-staple-0123456789",
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut count = 0;
    for block in PAGE.split("```yaml\n").skip(1) {
        let (yaml, _) = block.split_once("```").unwrap();
        // A user that every machine has.
        let yaml = yaml.replace("uid: talos-admin", "uid: root");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("talos.yaml");
        std::fs::write(&file, &yaml).unwrap();
        let loaded = Settings::load(Some(&file), required.clone().into_iter(), &[]);
        let (_, warnings) = loaded.unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        assert!(warnings.is_empty(), "{warnings:?}\n{yaml}");
        count += 1;
    }
    assert_eq!(count, 5);
}
