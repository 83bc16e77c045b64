//! `GET /version`

/// The answer: `{"version":"…"}`.
pub(crate) fn render(version: &str) -> Vec<u8> {
    serde_json::json!({ "version": version })
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_a_string() {
        assert_eq!(
            super::render("0.1.0-\"x\""),
            br#"{"version":"0.1.0-\"x\""}"#
        );
    }
}
