//! Messages as rustc 1.95 and cargo 1.95 wrote them, shortened.

use super::*;

const ERROR: &str = r#"{"$message_type":"diagnostic","message":"cannot find value `missing` in this scope","code":{"code":"E0425","explanation":"An unresolved name was used."},"level":"error","spans":[{"file_name":"mini/src/rules.rs","byte_start":1,"byte_end":8,"line_start":3,"line_end":3,"column_start":5,"column_end":12,"is_primary":true,"text":[],"label":"not found in this scope","suggested_replacement":null,"suggestion_applicability":null,"expansion":null}],"children":[],"rendered":"\u001b[1merror\u001b[0m: cannot find value"}"#;
const IN_MACRO: &str = r#"{"$message_type":"diagnostic","message":"it failed","code":null,"level":"error","spans":[{"file_name":"/rustc/abc/library/core/src/macros/mod.rs","line_start":40,"column_start":9,"is_primary":true,"expansion":{"span":{"file_name":"/w/mini/src/lib.rs","line_start":7,"column_start":2,"is_primary":false,"expansion":null},"macro_decl_name":"assert_eq!"}}],"children":[],"rendered":"error: it failed"}"#;
const ABORTING: &str = r#"{"$message_type":"diagnostic","message":"aborting due to 1 previous error","code":null,"level":"error","spans":[],"children":[],"rendered":"error: aborting"}"#;
const EXPLAIN: &str = r#"{"$message_type":"diagnostic","message":"For more information about this error, try `rustc --explain E0425`.","code":null,"level":"failure-note","spans":[],"children":[],"rendered":"For more"}"#;
const EMITTED: &str = r#"{"$message_type":"diagnostic","message":"1 warning emitted","code":null,"level":"warning","spans":[],"children":[],"rendered":"warning: 1 warning emitted"}"#;
const WARNING: &str = r#"{"$message_type":"diagnostic","message":"unused variable: `x`","code":{"code":"unused_variables","explanation":null},"level":"warning","spans":[{"file_name":"mini/src/lib.rs","line_start":2,"column_start":9,"is_primary":true,"expansion":null}],"children":[],"rendered":"warning: unused"}"#;
const LINKING: &str = r#"{"$message_type":"diagnostic","message":"linking with `cc` failed: exit status: 1\nmore","code":null,"level":"error","spans":[],"children":[],"rendered":"error: linking"}"#;
const ARTIFACT: &str = r#"{"$message_type":"artifact","artifact":"/t/mini.d","emit":"dep-info"}"#;

fn root() -> &'static Path {
    Path::new("/w")
}

fn problem(line: &str) -> Option<Problem> {
    Diagnostic::from_rustc_line(line)?.into_problem("mini", root())
}

#[test]
fn each_message_becomes_its_problem() {
    type Expected = Option<(&'static str, u32, u32, Severity, &'static str)>;
    let table: [(&str, Expected); 9] = [
        (
            ERROR,
            Some((
                "mini/src/rules.rs",
                3,
                5,
                Severity::Error,
                "cannot find value `missing` in this scope",
            )),
        ),
        (
            IN_MACRO,
            Some(("mini/src/lib.rs", 7, 2, Severity::Error, "it failed")),
        ),
        (
            WARNING,
            Some((
                "mini/src/lib.rs",
                2,
                9,
                Severity::Warning,
                "unused variable: `x`",
            )),
        ),
        (
            LINKING,
            Some((
                "",
                0,
                0,
                Severity::Error,
                "linking with `cc` failed: exit status: 1",
            )),
        ),
        (ABORTING, None),
        (EXPLAIN, None),
        (EMITTED, None),
        (ARTIFACT, None),
        ("thread 'rustc' panicked", None),
    ];
    for (line, expected) in table {
        let problem = problem(line);
        let got = problem.as_ref().map(|p| {
            (
                p.file.as_str(),
                p.line,
                p.column,
                p.severity,
                p.message.as_str(),
            )
        });
        assert_eq!(got, expected, "{line}");
    }
    assert_eq!(
        problem(ERROR).map(|p| p.rendered.contains("\u{1b}[1m")),
        Some(true)
    );
}

#[test]
fn errors_come_first_and_nothing_twice() {
    let all: Vec<_> = [WARNING, ERROR, WARNING, ERROR, LINKING]
        .iter()
        .filter_map(|line| problem(line))
        .collect();
    let arranged = arranged(all);
    let severities: Vec<_> = arranged.iter().map(|p| p.severity).collect();
    assert_eq!(
        severities,
        [Severity::Error, Severity::Error, Severity::Warning]
    );
    assert_eq!(
        summary(&arranged),
        "mini/src/rules.rs:3: cannot find value `missing` in this scope (and 1 more error)"
    );
    assert_eq!(summary(&[]), "the build failed");
}

#[test]
fn text_of_cargo_gets_a_place() {
    let bad_toml = "error: key with no value, expected `=`\n --> mini/Cargo.toml:11:6\n   |\n";
    let bad_key = "   Compiling types v0.1.0\nerror: failed to parse manifest at `/w/mini/Cargo.toml`\n\nCaused by:\n  no targets";
    let no_place =
        "    Blocking waiting for file lock\nerror: no matching package named `nope` found\n";
    let table = [
        (
            bad_toml,
            ("mini/Cargo.toml", 11, 6, "key with no value, expected `=`"),
        ),
        (
            bad_key,
            (
                "mini/Cargo.toml",
                0,
                0,
                "failed to parse manifest at `/w/mini/Cargo.toml`",
            ),
        ),
        (
            no_place,
            ("", 0, 0, "no matching package named `nope` found"),
        ),
    ];
    for (text, expected) in table {
        let p = plain_problem(text, "mini", root()).unwrap();
        assert_eq!(
            (p.file.as_str(), p.line, p.column, p.message.as_str()),
            expected
        );
        assert!(p.rendered.starts_with("error"), "{}", p.rendered);
    }
    assert_eq!(plain_problem("   Compiling x v1\n\n", "mini", root()), None);
}
