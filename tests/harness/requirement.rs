//! What a test needs from the machine, such as root or a loop device. A test whose requirement is
//! missing does not run, and fails on CI.

/// Reports that a test did not run because `missing` is not available here.
///
/// # Panics
/// On CI, where every test has to run: the environment variable `CI` is set, and not to `false`.
pub fn report_missing(missing: &str) {
    report(std::env::var("CI").ok().as_deref(), missing);
}

fn report(ci: Option<&str>, missing: &str) {
    assert!(
        matches!(ci, None | Some("" | "false")),
        "this test has to run on CI, but {missing}"
    );
    eprintln!("this test did not run: {missing}");
}

#[test]
fn outside_of_ci_a_test_that_cannot_run_is_reported() {
    for ci in [None, Some(""), Some("false")] {
        report(ci, "mounting a volume needs root");
    }
}

#[test]
#[should_panic = "this test has to run on CI, but mounting a volume needs root"]
fn on_ci_a_test_that_cannot_run_fails() {
    report(Some("true"), "mounting a volume needs root");
}
