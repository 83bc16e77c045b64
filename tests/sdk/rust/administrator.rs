//! A client that is an administrator of a server that asks who it is.

use super::*;

const TOKEN: &str = "the-bootstrap-token-of-this-client-0123456789";

/// The client sends its token as `Authorization: Bearer`.
pub(super) async fn a_token_opens_the_routes(mut client: Configuration) {
    let refused = (401, "UNAUTHORIZED".to_owned());
    for token in [None, text("another-token-of-this-client-0123456789")] {
        client.bearer_access_token = token;
        let issued = api::admin_issue_api_key(&client, issue("n")).await;
        assert_eq!(failure(issued), refused);
        let verified = api::admin_verify_api_key(&client, credential("x"), None, None).await;
        assert_eq!(failure(verified), refused);
    }
    client.bearer_access_token = text(TOKEN);
    let issued = api::admin_issue_api_key(&client, issue("n")).await.unwrap();
    let key_id = issued.issued_api_key.unwrap().key_id.unwrap();
    assert_eq!(verdict(&client, &issued.secret.unwrap()).await, Ok(key_id));
}

/// A server that asks who its clients are.
pub(super) fn start(site: &Site) -> Server {
    let mut command = site.command();
    command
        .env("TALOS_SERVE_ADMIN_AUTH_ENABLED", "true")
        .env("TALOS_SERVE_ADMIN_AUTH_BOOTSTRAP_TOKEN", TOKEN);
    Server::start(command, site.directory().join("server.log"))
}
