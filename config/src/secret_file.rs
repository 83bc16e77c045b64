//! Values from files: `TALOS_…_FILE` names a file that holds a secret, as container platforms mount
//! them. A secret in a file is not inherited by child processes and not shown by `docker inspect`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What the name of such a variable ends with.
pub(crate) const SUFFIX: &str = "_FILE";
/// Far more than every list of signing keys needs.
const BYTES_MAX: u64 = 256 * 1024;

/// The text of the file at `path`, without the line break that most editors and shells put at its
/// end.
///
/// # Errors
/// A message for the operator. It names the file and never repeats its content.
pub(crate) fn read(path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot read the file {path:?}: {error}");
    if path.is_empty() {
        return Err("the variable is empty; it must name a file".to_owned());
    }
    let mut text = String::new();
    let file = File::open(Path::new(path)).map_err(failed)?;
    let bytes = file.take(BYTES_MAX + 1).read_to_string(&mut text);
    if bytes.map_err(failed)? as u64 > BYTES_MAX {
        return Err(format!(
            "the file {path:?} has more than {BYTES_MAX} bytes; it must hold only the secret"
        ));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// The items of a list that a file holds: one on each line. Empty lines do not count.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_line_break_at_the_end_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let path = path.to_str().unwrap();
        for (content, wanted) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("a\nb", "a\nb"),
            (" a ", " a "),
            ("", ""),
        ] {
            fs::write(path, content).unwrap();
            assert_eq!(read(path).as_deref(), Ok(wanted), "{content:?}");
        }
        assert_eq!(lines("a\r\n\nb c\n"), ["a", "b c"]);
    }

    #[test]
    fn bad_files_are_refused_without_their_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let path = path.to_str().unwrap();
        let missing = read(path).unwrap_err();
        assert!(missing.contains("cannot read the file") && missing.contains(path));
        fs::write(path, b"hush\xff").unwrap();
        assert!(!read(path).unwrap_err().contains("hush"));
        fs::write(path, "hush".repeat(100_000)).unwrap();
        let large = read(path).unwrap_err();
        assert!(large.contains("more than") && !large.contains("hush"));
        assert!(read(directory.path().to_str().unwrap()).is_err());
        assert!(read("").is_err());
    }
}
