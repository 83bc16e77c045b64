//! Admin tokens in a fleet: any node changes them through the primary, and all nodes have them.

use serde_json::{Value, json};

use super::node::{Node, Place, await_equal};
use crate::admin_tokens::TOKENS;
use crate::harness::cli::run;

fn tokens(node: &Node) -> Value {
    node.ask("GET", TOKENS, &Value::Null).expect(200).body["tokens"].clone()
}

fn path_of(answer: &Value) -> String {
    format!("{TOKENS}/{}", answer["token"]["id"].as_str().unwrap())
}

#[test]
fn a_replica_passes_changes_on_and_has_the_tokens_of_the_primary() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().start_ready();
    replica.follow(&primary).start_ready();
    let wait = format!("{TOKENS}?wait=replicas");
    let body = json!({"name": "ci", "role": "read"});
    let created = replica.ask("POST", &wait, &body).expect(201);
    assert_eq!(created.header("Cache-Control"), Some("no-store"));
    let path = path_of(&created.body);
    assert_eq!(tokens(&replica), json!([created.body["token"]]));
    assert_eq!(tokens(&primary), tokens(&replica));
    let again = replica.ask("POST", &wait, &body).expect(409);
    assert!(again.message().contains("another admin token"), "{again:?}");

    let rotate = format!("{path}:rotate?wait=replicas");
    let rotated = replica.ask("POST", &rotate, &json!({})).expect(200);
    assert_ne!(rotated.body["secret"], created.body["secret"]);
    assert_eq!(tokens(&replica), json!([rotated.body["token"]]));

    let revoke = format!("{path}?wait=replicas");
    replica.ask("DELETE", &revoke, &Value::Null).expect(204);
    assert_eq!(tokens(&replica), json!([]));
    // A repetition says that the token is gone only when it is gone on all replicas.
    replica.ask("DELETE", &revoke, &Value::Null).expect(404);

    let body = json!({"name": "kept", "role": "admin"});
    let kept = primary.ask("POST", &wait, &body).expect(201);
    await_equal(&primary, &replica);
    primary.kill();
    let promote = "/v2alpha1/admin/replication:promote";
    replica.ask("POST", promote, &Value::Null).expect(200);
    assert_eq!(tokens(&replica), json!([kept.body["token"]]));
    let path = path_of(&kept.body);
    replica.ask("DELETE", &path, &Value::Null).expect(204);
    assert_eq!(tokens(&replica), json!([]));
}

#[test]
fn a_repeated_revocation_waits_for_the_first_one() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary
        .be_primary()
        .set("REPLICATION_MIN_ACKS", 1)
        .set("REPLICATION_ACK_TIMEOUT", "3s")
        .start_ready();
    replica.follow(&primary).start_ready();
    let body = json!({"name": "ci", "role": "read"});
    let created = primary.ask("POST", TOKENS, &body).expect(201);
    let path = path_of(&created.body);
    replica.freeze(true);
    for _ in 0..2 {
        let refused = primary.ask("DELETE", &path, &Value::Null).expect(503);
        assert!(
            refused.message().contains("durable on the primary"),
            "{refused:?}"
        );
    }
    replica.freeze(false);
    await_equal(&primary, &replica);
    primary.ask("DELETE", &path, &Value::Null).expect(404);
    assert_eq!(tokens(&replica), json!([]));
}

#[test]
fn the_first_token_is_made_on_the_host_of_the_primary() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().start_ready();
    replica.follow(&primary).start_ready();
    await_equal(&primary, &replica);
    replica.stop();
    primary.stop();
    let bootstrap = |node: &Node| {
        let started = node.command();
        let mut command = std::process::Command::new(started.get_program());
        crate::harness::site::without_talos_variables(&mut command);
        command.args(["admin", "token", "bootstrap", "-q"]);
        for (name, value) in started.get_envs() {
            command.envs(value.map(|value| (name, value)));
        }
        run(command)
    };
    bootstrap(&replica).assert_one_line_and_code_1(&["replica", "primary"]);
    // A replica that has never run has no database, and gets none of a primary.
    let mut fresh = place.node("fresh");
    fresh.follow(&primary);
    bootstrap(&fresh).assert_one_line_and_code_1(&["replica", "primary"]);
    assert!(!fresh.data().exists());
    bootstrap(&primary).succeeded();
    primary.start_ready();
    replica.start_ready();
    await_equal(&primary, &replica);
    let all = tokens(&replica);
    assert_eq!(all[0]["name"], "admin", "{all}");
}
