//! `talos keys … list` against a real server.

use crate::harness::Driver;
use crate::harness::cli::talos;
use crate::harness::site::Site;

#[test]
fn lists_are_filtered_and_go_on_page_by_page() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let keys = |arguments: &[&str]| talos(server.address, &[&["keys"], arguments].concat());
    let issue = |name: &str, actor: &str| {
        let issued = keys(&[
            "issue",
            name,
            "--actor",
            actor,
            "--format",
            "jsonpath=issued_api_key.key_id",
        ]);
        serde_json::from_str::<String>(issued.succeeded()).unwrap()
    };
    let odd = "user \"42\"\\";
    let mut mine: Vec<String> = ["a", "b", "c"].map(|name| issue(name, odd)).into();
    let other = issue("d", "somebody else");
    keys(&["revoke", &mine[1]]).succeeded();

    let ids = |arguments: &[&str]| {
        let listed = keys(&[&["issued", "list", "-q"], arguments].concat());
        let mut ids: Vec<String> = listed.succeeded().lines().map(ToOwned::to_owned).collect();
        ids.sort();
        ids
    };
    assert_eq!(
        ids(&["--actor", odd, "--status", "revoked"]),
        [mine[1].clone()]
    );
    assert_eq!(
        ids(&["--actor", "somebody else", "--status", "active"]),
        [other]
    );
    mine.sort();
    assert_eq!(ids(&["--actor", odd, "--page-size", "10"]), mine);
    assert_eq!(ids(&[]).len(), 4);
    let empty = keys(&["imported", "list"]);
    assert!(
        empty.succeeded().starts_with("KEY_ID") && empty.stdout.lines().count() == 1,
        "{empty:?}"
    );

    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let mut line = vec![
            "issued",
            "list",
            "--actor",
            odd,
            "--page-size",
            "2",
            "--format",
            "json",
        ];
        if !token.is_empty() {
            line.extend(["--page-token", &token]);
        }
        let ran = keys(&line);
        let page = ran.json();
        let keys = page["issued_api_keys"].as_array().unwrap();
        assert!(keys.len() <= 2);
        found.extend(
            keys.iter()
                .map(|key| key["key_id"].as_str().unwrap().to_owned()),
        );
        page["next_page_token"]
            .as_str()
            .unwrap()
            .clone_into(&mut token);
        assert!(ran.stderr.contains(&token), "{ran:?}");
        assert_eq!(
            ran.stderr.contains("--page-token"),
            !token.is_empty(),
            "{ran:?}"
        );
        if token.is_empty() {
            break;
        }
    }
    found.sort();
    assert_eq!(found, mine);
    server.stop();
}
