//! Puts the tables into a document, between two marks.

use thiserror::Error;

/// The line before the tables.
pub const BEGIN: &str = "<!-- peers:begin -->";
/// The line behind the tables.
pub const END: &str = "<!-- peers:end -->";

/// The document has no place for the tables. Put the marks back.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the document needs one line {BEGIN} and, further down, one line {END}")]
pub struct NoPlace;

/// Replaces what is between the marks by `text`.
///
/// # Errors
/// When the document does not have each mark once, in this order.
pub fn replaced(document: &str, text: &str) -> Result<String, NoPlace> {
    let [before, rest] = parts(document, BEGIN)?;
    let [_, after] = parts(rest, END)?;
    if after.contains(BEGIN) {
        return Err(NoPlace);
    }
    Ok(format!(
        "{before}{BEGIN}\n\n{}\n\n{END}{after}",
        text.trim()
    ))
}

/// The text before and after the only `mark`.
fn parts<'a>(text: &'a str, mark: &str) -> Result<[&'a str; 2], NoPlace> {
    let (before, after) = text.split_once(mark).ok_or(NoPlace)?;
    if before.contains(END) || after.contains(mark) {
        return Err(NoPlace);
    }
    Ok([before, after])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let document = format!("before\n{BEGIN}\nold\n{END}\nbehind\n");
        let once = replaced(&document, "new\n").unwrap();
        assert_eq!(once, format!("before\n{BEGIN}\n\nnew\n\n{END}\nbehind\n"));
        assert_eq!(replaced(&once, "new").unwrap(), once);
    }

    #[test]
    fn a_document_without_one_place_is_left_alone() {
        for document in [
            "nothing".to_owned(),
            BEGIN.to_owned(),
            format!("{END}\n{BEGIN}"),
            format!("{END}{BEGIN}{END}"),
            format!("{BEGIN}{END}{END}"),
            format!("{BEGIN}{END}{BEGIN}{END}"),
        ] {
            assert_eq!(replaced(&document, "new"), Err(NoPlace), "{document}");
        }
    }
}
