//! The server's own `OpenAPI` document: it contains everything in the published one, and the server
//! does what it says.

mod answers;
mod coverage;
mod requests;
mod spellings;
mod tester;

use serde_json::Value;
use talos_test_kit::http::Connection;

use crate::harness::site::Site;
use coverage::{additions, missing, reference};

fn document(connection: &mut Connection) -> Value {
    let answer = connection.call("GET", "/openapi.json", &[], b"");
    assert_eq!(answer.status, 200);
    answer.json()
}

/// The schema that `schema` is or refers to.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(path) => {
            let schema = document.pointer(path.trim_start_matches('#'));
            schema.unwrap_or_else(|| panic!("{path} leads nowhere"))
        }
        None => schema,
    }
}

both_drivers! {
    fn the_document_is_served_and_covers_the_published_one(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let document = document(&mut server.connect());
        println!("{}", additions(&reference(), &document).join("\n"));
        let missing = missing(&reference(), &document);
        assert!(missing.is_empty(), "{missing:#?}");
        let version = server.connect().call("GET", "/version", &[], b"").json();
        assert_eq!(document["info"]["version"], version["version"]);
        let post = server.connect().call("POST", "/openapi.json", &[], b"{}");
        post.assert_error(405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED");
        server.stop();
    }
}
