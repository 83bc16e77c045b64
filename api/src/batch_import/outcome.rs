//! The outcome of one key of a batch.

use talos_model::Record;

use crate::error::{ApiError, Reason};
use crate::names::{Enumeration as _, enumeration};

/// The outcome of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemOutcome {
    /// It was imported.
    Imported,
    /// Its fields break the contract.
    InvalidArgument,
    /// The tenant had it already, or its `request_id` was used for another key.
    AlreadyExists,
    /// It has the shape of this server's own credentials.
    FailedPrecondition,
    /// The tenant has reached its quota of keys.
    ResourceExhausted,
    /// Something else failed.
    Internal,
}

impl ItemOutcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Imported,
        Self::InvalidArgument,
        Self::AlreadyExists,
        Self::FailedPrecondition,
        Self::ResourceExhausted,
        Self::Internal,
    ];

    /// The outcome that `result` stands for.
    #[must_use]
    pub fn of(result: &Result<Record, ApiError>) -> Self {
        match result.as_ref().map_err(ApiError::reason) {
            Ok(_) => Self::Imported,
            Err(Reason::BadRequest) => Self::InvalidArgument,
            Err(Reason::ApiKeyExists | Reason::Conflict) => Self::AlreadyExists,
            Err(Reason::FailedPrecondition) => Self::FailedPrecondition,
            Err(Reason::ApiKeyQuotaExceeded) => Self::ResourceExhausted,
            Err(_) => Self::Internal,
        }
    }

    /// The name of the `error_code`; `None` for a success.
    #[must_use]
    pub fn error_code(self) -> Option<&'static str> {
        self.error().map(BatchCreateImportedApiKeysErrorCode::name)
    }

    /// The `error_code` of the outcome; `None` for a success.
    pub(super) const fn error(self) -> Option<ItemError> {
        match self {
            Self::Imported => None,
            Self::InvalidArgument => Some(ItemError::InvalidArgument),
            Self::AlreadyExists => Some(ItemError::AlreadyExists),
            Self::FailedPrecondition => Some(ItemError::FailedPrecondition),
            Self::ResourceExhausted => Some(ItemError::ResourceExhausted),
            Self::Internal => Some(ItemError::Internal),
        }
    }
}

/// Every outcome but success.
#[derive(Clone, Copy)]
pub(crate) enum ItemError {
    InvalidArgument,
    AlreadyExists,
    FailedPrecondition,
    ResourceExhausted,
    Internal,
}

enumeration! {
    /// Why a key of a batch was not imported.
    BatchCreateImportedApiKeysErrorCode(ItemError)
    or "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_UNSPECIFIED" {
        InvalidArgument => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_INVALID_ARGUMENT",
        AlreadyExists => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_ALREADY_EXISTS",
        FailedPrecondition => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_FAILED_PRECONDITION",
        ResourceExhausted => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_RESOURCE_EXHAUSTED",
        Internal => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_have_their_codes() {
        let of = |error: ApiError| ItemOutcome::of(&Err(error));
        assert_eq!(of(ApiError::bad_request("x")), ItemOutcome::InvalidArgument);
        assert_eq!(
            of(ApiError::failed_precondition("x")),
            ItemOutcome::FailedPrecondition
        );
        assert_eq!(
            of(ApiError::api_key_quota_exceeded(7)),
            ItemOutcome::ResourceExhausted
        );
        assert_eq!(of(ApiError::internal()), ItemOutcome::Internal);
        let codes = ItemOutcome::ALL.map(ItemOutcome::error);
        assert_eq!(codes.iter().flatten().count(), 5);
    }
}
