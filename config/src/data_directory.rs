//! Parses `db.dsn`: the data directory.

use std::path::PathBuf;

/// The scheme of the embedded engine.
const ROCKSDB: &str = "rocksdb://";
/// Accepted for configurations that were written for other servers.
const SQLITE: [&str; 2] = ["sqlite://", "sqlite3://"];

/// A data directory, and a warning for the operator, if there is one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DataDirectory {
    pub(crate) path: PathBuf,
    pub(crate) warning: Option<String>,
}

/// Parses a DSN. The error repeats only the scheme, because the rest may contain a password.
pub(crate) fn parse(dsn: &str) -> Result<DataDirectory, String> {
    if let Some(path) = dsn.strip_prefix(ROCKSDB) {
        return match path {
            "" => Err("the DSN names no directory".to_owned()),
            path => Ok(DataDirectory {
                path: PathBuf::from(path),
                warning: None,
            }),
        };
    }
    if let Some(rest) = SQLITE.iter().find_map(|scheme| dsn.strip_prefix(scheme)) {
        // Options such as `?_fk=true` have no meaning here.
        let path = rest.split('?').next().unwrap_or_default();
        if path.is_empty() {
            return Err("the DSN names no file".to_owned());
        }
        let path = PathBuf::from(format!("{path}.rocksdb"));
        let warning = format!(
            "SQLite is not used: the embedded engine stores in the directory {0}; write rocksdb://{0} instead",
            path.display()
        );
        return Ok(DataDirectory {
            path,
            warning: Some(warning),
        });
    }
    match dsn.split_once("://") {
        Some((scheme, _))
            if scheme
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c)) =>
        {
            Err(format!("the scheme {scheme}:// is not supported"))
        }
        _ => Err("not a DSN".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes() {
        assert_eq!(
            parse("rocksdb://./talos-data"),
            Ok(DataDirectory {
                path: PathBuf::from("./talos-data"),
                warning: None
            })
        );
        assert_eq!(
            parse("rocksdb:///var/lib/talos").map(|d| d.path),
            Ok(PathBuf::from("/var/lib/talos"))
        );
        let sqlite = parse("sqlite:///tmp/keys.db?_fk=true").expect("a directory");
        assert_eq!(sqlite.path, PathBuf::from("/tmp/keys.db.rocksdb"));
        assert!(
            sqlite
                .warning
                .as_ref()
                .is_some_and(|text| text.contains("rocksdb:///tmp/keys.db.rocksdb"))
        );
        assert_eq!(parse("sqlite3:///tmp/keys.db?_fk=true"), Ok(sqlite));
        let relative = parse("sqlite3://keys.db").map(|directory| directory.path);
        assert_eq!(relative, Ok(PathBuf::from("keys.db.rocksdb")));
        for dsn in [
            "",
            "sqlite3://",
            "sqlite3:keys.db",
            "rocksdb://",
            "sqlite://",
            "sqlite://?x",
            "/var/lib/talos",
            "memory",
        ] {
            assert!(parse(dsn).is_err(), "{dsn}");
        }
    }

    #[test]
    fn a_foreign_scheme_is_named_and_nothing_else() {
        let error = parse("postgres://talos:hunter2@host/db").expect_err("another engine");
        assert!(
            error.contains("postgres://") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
