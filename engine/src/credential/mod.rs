//! Credential formats.
