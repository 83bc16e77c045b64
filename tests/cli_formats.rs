//! `--format`: one answer in every output format.

use serde_json::Value;

use crate::harness::Driver;
use crate::harness::cli::talos;
use crate::harness::site::Site;

#[test]
fn every_format_holds_the_same_key() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let shown = |arguments: &[&str], format: &str| {
        talos(server.address, &[arguments, &["--format", format]].concat())
    };
    let issue = [
        "keys",
        "issue",
        "a: \"key\"",
        "--actor",
        "no",
        "--scopes",
        "read:*,write",
        "--metadata",
        r#"{"n":[1,{}]}"#,
    ];
    let secret = shown(&issue, "jsonpath=secret");
    let secret: String = serde_json::from_str(secret.succeeded()).unwrap();
    let verify = ["keys", "verify", &secret];
    let key = shown(&verify, "json").json();
    assert_eq!(key["metadata"]["n"][0], 1);
    let pretty = shown(&verify, "json-pretty");
    assert_eq!(pretty.json(), key);
    assert!(pretty.stdout.lines().count() > 10, "{pretty:?}");
    let yaml = shown(&verify, "yaml");
    assert!(
        yaml.succeeded().contains("\nname:") || yaml.succeeded().contains("\nscopes:"),
        "{yaml:?}"
    );
    for (format, wanted) in [
        ("jsonpath=$.scopes[*]", "\"read:*\"\n\"write\"\n"),
        ("jsonpath=scopes.1", "\"write\"\n"),
        ("jsonpointer=/metadata/n/0", "1\n"),
    ] {
        assert_eq!(shown(&verify, format).succeeded(), wanted, "{format}");
    }
    let nothing = shown(&verify, "jsonpointer=/nothing");
    assert_eq!(
        (nothing.code, nothing.stdout.as_str()),
        (Some(1), ""),
        "{nothing:?}"
    );
    let misused = shown(&verify, "jsonpath=$[");
    assert_eq!(misused.code, Some(2), "{misused:?}");
    let json: Value = shown(&["keys", "verify", "unknown"], "json-pretty")
        .stdout
        .parse()
        .unwrap();
    assert_eq!(json["is_valid"], false);
    server.stop();
}
