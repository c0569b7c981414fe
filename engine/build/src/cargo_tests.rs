use super::*;
use crate::project::Module;

const MINI: &str = "path+file:///w/mini#0.1.0";
const TYPES: &str = "path+file:///w/types#0.1.0";
const OTHER: &str = "path+file:///w/other#0.1.0";

fn module() -> Module {
    Module::for_test("mini", MINI, &[MINI, TYPES])
}

fn artifact(id: &str, kinds: &str, file: &str) -> Line {
    let extension = std::env::consts::DLL_EXTENSION;
    Line::Out(format!(
        r#"{{"reason":"compiler-artifact","package_id":"{id}","target":{{"kind":["lib"],"crate_types":{kinds},"name":"x"}},"filenames":["/t/{file}.rlib","/t/{file}.{extension}"],"fresh":false}}"#
    ))
}

fn message(id: &str, level: &str, text: &str) -> Line {
    Line::Out(format!(
        r#"{{"reason":"compiler-message","package_id":"{id}","target":{{}},"message":{{"rendered":"r","$message_type":"diagnostic","level":"{level}","message":"{text}","code":null,"spans":[],"children":[]}}}}"#
    ))
}

fn report(lines: Vec<Line>) -> ModuleReport {
    let mut report = CargoReport::default();
    for line in lines {
        report.read(line);
    }
    report.for_module(&module(), Path::new("/w"))
}

fn messages(report: &ModuleReport) -> Vec<&str> {
    let (ModuleReport::Artifact { problems, .. } | ModuleReport::Failed { problems }) = report;
    problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect()
}

#[test]
fn a_module_has_its_own_result_whatever_happens_to_others() {
    let both = r#"["rlib","dylib"]"#;
    let built = report(vec![
        message(TYPES, "warning", "of types"),
        message(MINI, "warning", "of mini"),
        message(OTHER, "error", "of other"),
        artifact(MINI, both, "libmini"),
        Line::Out(r#"{"reason":"build-finished","success":false}"#.into()),
    ]);
    assert!(matches!(&built, ModuleReport::Artifact { path, .. } if path.starts_with("/t")));
    assert_eq!(messages(&built), ["of mini"]);

    let table: [(Vec<Line>, &[&str]); 5] = [
        (
            vec![
                message(MINI, "error", "own"),
                message(OTHER, "error", "of other"),
            ],
            &["own"],
        ),
        (vec![message(TYPES, "error", "needed")], &["needed"]),
        (vec![message(OTHER, "error", "of other")], &["of other"]),
        (
            vec![Line::Err("error: bad manifest".into())],
            &["bad manifest"],
        ),
        (
            vec![
                artifact(MINI, r#"["rlib"]"#, "libmini"),
                artifact(OTHER, both, "libother"),
            ],
            &["cargo built nothing of package `mini`; is it in the selection?"],
        ),
    ];
    for (lines, expected) in table {
        let failed = report(lines);
        assert!(matches!(failed, ModuleReport::Failed { .. }));
        assert_eq!(messages(&failed), expected);
    }
}

#[test]
fn the_call_names_profile_selection_and_target() {
    let selection = ["-p".to_owned(), "engine".to_owned()];
    let call = |profile| CargoCall {
        program: "cargo".as_ref(),
        root: Path::new("/w"),
        target_dir: Path::new("/t"),
        profile,
        binary: None,
        selection: &selection,
        environment: &[],
    };
    let args = |profile| {
        let command = call(profile).command();
        command
            .get_args()
            .map(|arg| arg.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let start =
        "build --lib --keep-going --message-format=json-diagnostic-rendered-ansi --target-dir /t";
    assert_eq!(args("dev"), format!("{start} -p engine"));
    assert_eq!(
        args("release"),
        format!("{start} --profile=release -p engine")
    );
}
