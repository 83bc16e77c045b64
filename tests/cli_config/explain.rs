//! `talos config explain` and `talos config schema` describe the keys.

use super::Place;

#[test]
fn the_schema_is_json_with_every_key() {
    let place = Place::new();
    let schema = place.run(&["config", "schema"]).json();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let port = &schema["properties"]["serve"]["properties"]["http"]["properties"]["port"];
    assert_eq!(
        (&port["maximum"], &port["default"]),
        (&65535.into(), &4420.into())
    );
}

#[test]
fn keys_and_sections_are_explained() {
    let place = Place::new();
    let explain = |name: &str| place.run(&["config", "explain", name]);
    let ttl = explain("cache.ttl");
    for line in [
        "cache.ttl\nAfter this time a key is read from storage again; ",
        "type      duration\n",
        "allowed   a duration from 1s to 86400s, such as 90s or 1h30m, or 0 for none\n",
        "default   5m\n",
        "variable  TALOS_CACHE_TTL\n",
        "reload    live",
        "example   cache:\n            ttl: 5m\n",
    ] {
        assert!(ttl.succeeded().contains(line), "{line}: {}", ttl.stdout);
    }
    let secret = explain("TALOS_SECRETS_HMAC_CURRENT");
    for words in [
        "secrets.hmac.current\n",
        "TALOS_SECRETS_HMAC_CURRENT_FILE names a file with the value",
        "none, the key is required unless secrets.default.current is set",
    ] {
        assert!(
            secret.succeeded().contains(words),
            "{words}: {}",
            secret.stdout
        );
    }
    assert!(
        explain("db.shards")
            .succeeded()
            .contains("reload    restart")
    );
    let section = explain("quota");
    assert_eq!(
        section.succeeded(),
        "quota\nHow many keys there may be.\n\nquota.api_keys_max  unset\n"
    );
    assert!(explain("serve.").succeeded().contains("serve.http.port "));
    let all = place.run(&["config", "explain"]);
    assert!(all.succeeded().contains("\naudit "), "{}", all.stdout);
    for (name, meant) in [
        ("cache.tttl", "did you mean one of cache.ttl, "),
        ("port", "serve.http.port"),
        ("nonsense", "lists the sections"),
        ("TALOS_LOG_LEVLE", "log.level"),
    ] {
        explain(name).assert_one_line_and_code_1(&[name, "no such setting", meant]);
    }
    let json = place
        .run(&["config", "explain", "log.level", "--format", "json"])
        .json();
    assert_eq!(
        (&json["variable"], &json["reload"], &json["default"]),
        (&"TALOS_LOG_LEVEL".into(), &"live".into(), &"info".into())
    );
}
