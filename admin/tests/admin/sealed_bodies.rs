//! The data plane lets a request in by the words of another node before it reads the body. The
//! control plane holds the body against these words.

use serde_json::json;

use crate::harness::{Harness, ISSUED_KEYS, Setup};

const SEALED: &str = r#"{"name":"sealed","actor_id":"a"}"#;

#[test]
fn only_the_sealed_body_is_carried_out() {
    let harness = Harness::with(Setup {
        sealed_body: Some(SEALED),
        ..Setup::default()
    });
    let issued = harness.call("POST", ISSUED_KEYS, SEALED);
    assert_eq!(issued.status, 201, "{issued:?}");
    let position = harness.engine.committed();
    for other in [
        r#"{"name":"other","actor_id":"a"}"#,
        "",
        "{",
        &format!("{SEALED} "),
    ] {
        let refused = harness.call("POST", ISSUED_KEYS, other);
        assert_eq!(refused.status, 401, "{refused:?}");
        assert_eq!(refused.body["error"]["status"], json!("UNAUTHENTICATED"));
    }
    assert_eq!(harness.engine.committed(), position, "nothing was changed");
}
