//! The id in the path of a request.

use std::borrow::Cow;

use talos_model::KeyId;
use uuid::Uuid;

use crate::error::ApiError;
use crate::percent;

/// The text of the path parameter, percent-encoded. Empty when the template has no parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathId<'a>(&'a str);

impl<'a> PathId<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// Decodes and parses the text, in capital or small letters.
    #[must_use]
    pub fn parse(self) -> PathKeyId {
        let text = self.decode().map(|text| text.to_ascii_lowercase());
        PathKeyId(text.and_then(|text| text.parse().ok()))
    }

    /// Decodes the text exactly once; `None` when it is not valid percent-encoded UTF-8.
    pub(super) fn decode(self) -> Option<Cow<'a, str>> {
        percent::decode(self.0)
    }
}

/// The id of a key or an admin token that the path of a request names, if it names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathKeyId(Option<KeyId>);

impl PathKeyId {
    /// For a path without an id.
    pub const NONE: Self = Self(None);

    /// The id of an issued key.
    ///
    /// # Errors
    /// 404 when the text of the path is no key id or names an imported key: no issued key has this
    /// id.
    pub fn issued(self) -> Result<KeyId, ApiError> {
        self.any().and_then(|key_id| match key_id {
            KeyId::Issued(_) => Ok(key_id),
            KeyId::Imported(_) => Err(ApiError::api_key_not_found()),
        })
    }

    /// The id of an imported key.
    ///
    /// # Errors
    /// 404 when the text of the path is no key id or names an issued key: no imported key has this
    /// id.
    pub fn imported(self) -> Result<KeyId, ApiError> {
        self.any().and_then(|key_id| match key_id {
            KeyId::Imported(_) => Ok(key_id),
            KeyId::Issued(_) => Err(ApiError::api_key_not_found()),
        })
    }

    /// The id of a key of any kind.
    ///
    /// # Errors
    /// 404 when the text of the path is no key id: no key has this id.
    pub fn any(self) -> Result<KeyId, ApiError> {
        self.0.ok_or_else(ApiError::api_key_not_found)
    }

    /// The id of an admin token, which has the form of an issued key's id.
    ///
    /// # Errors
    /// 404 when the text of the path has another form: no admin token has this id.
    pub fn admin_token(self) -> Result<Uuid, ApiError> {
        match self.0 {
            Some(KeyId::Issued(id)) => Ok(id),
            Some(KeyId::Imported(_)) | None => Err(ApiError::admin_token_not_found()),
        }
    }
}
