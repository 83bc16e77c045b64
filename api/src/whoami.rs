//! Telling a client which principal it is: `GET /v2alpha1/admin/whoami`.

use schemars::JsonSchema;
use serde::Serialize;
use talos_model::Principal;

use crate::names::{AdminProof, AdminRole, Named};
use crate::render;

/// The answer to `principal`; `None` = nobody had to say who they are.
#[must_use]
pub fn render_response(principal: Option<&Principal>) -> Vec<u8> {
    render::json(&WhoAmI {
        anonymous: principal.is_none(),
        name: principal.map(|principal| principal.name.as_str()),
        role: principal.map(|principal| Named(principal.role)),
        tenant: principal
            .and_then(|principal| principal.tenant)
            .map(|tenant| tenant.to_string()),
        proof: principal.map(|principal| Named(principal.proof)),
    })
}

/// An authenticated client, or an anonymous one.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminWhoAmIResponse")]
pub(crate) struct WhoAmI<'a> {
    /// Whether the client had no need to say who it is. The other fields are absent then.
    anonymous: bool,
    /// The name of its token, or that its certificate or user id is mapped to.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// What it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Named<AdminRole>>,
    /// The id of the only tenant that it may act on; absent = every tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// How it proved who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Named<AdminProof>>,
}

#[cfg(test)]
mod tests {
    use talos_model::{Proof, Role, TenantId};

    use super::*;

    #[test]
    fn a_principal_is_shown_and_nobody_is_anonymous() {
        let shown = |principal: Option<&Principal>| {
            String::from_utf8(render_response(principal)).expect("UTF-8")
        };
        assert_eq!(shown(None), r#"{"anonymous":true}"#);
        let mut principal = Principal {
            name: "ci".to_owned(),
            proof: Proof::Token,
            role: Role::Operate,
            tenant: None,
        };
        assert_eq!(
            shown(Some(&principal)),
            r#"{"anonymous":false,"name":"ci","role":"operate","proof":"token"}"#
        );
        principal.tenant = Some(TenantId::SINGLE);
        assert!(shown(Some(&principal)).contains(r#","tenant":"00000000-"#));
    }
}
