use super::*;

fn sources(text: &str) -> Sources {
    Sources::of("game", &[(String::new(), text.to_owned())], 0)
}

const BASE: &str = "
    /// A cache.
    #[derive(Reflect, Default)]
    struct Health { now: u32, #[reflect(ignore)] cache: Cache }
    struct Cache { lines: Lines, size: [u8; SIZE] }
    type Lines = Vec<Line>;
    struct Line(u32);
    const SIZE: usize = size();
    const fn size() -> usize { helper() }
    const fn helper() -> usize { 4 }
    fn now() { later(); }
    fn later() { let a = 1; }
    struct Other { a: Made }
    made!(Made);
    macro_rules! made { ($name:ident) => { struct $name(u8); } }
    fn test() { struct Local { a: u8 } println!(\"{}\", Line(3).0); }
    mod inner { impl Trait for Cache { type Out = u32; } pub struct Outer { a: <Cache as Trait>::Out } }
";

#[test]
fn a_type_changes_with_what_its_layout_may_depend_on_and_nothing_else() {
    let base = sources(BASE);
    for (from, to, changed) in [
        ("now: u32", "now: u32, then: u8", "Health"),
        ("lines: Lines", "lines: Lines, b: u8", "Cache Health Outer"),
        ("= Vec<Line>", "= Box<Line>", "Cache Health Lines Outer"),
        ("Line(u32)", "Line(f32)", "Cache Health Line Lines Outer"),
        ("usize = size()", "usize = 1 + size()", "Cache Health Outer"),
        ("usize { 4 }", "usize { 5 }", "Cache Health Outer"),
        (
            "struct Line(",
            "#[repr(C)] struct Line(",
            "Cache Health Line Lines Outer",
        ),
        ("$name(u8)", "$name(i8)", "Made Other"),
        ("Local { a: u8", "Local { a: i8", "Local"),
        ("type Out = u32", "type Out = f32", "Out Outer"),
        // Neither what functions do, nor comments, matter.
        ("let a = 1", "let a = 2", ""),
        ("Line(3)", "Line(4)", ""),
        ("A cache.", "The cache.", ""),
        ("    /// A cache.", "\n\n// Whatever.\n", ""),
    ] {
        assert!(BASE.contains(from), "{from}");
        let edited = sources(&BASE.replacen(from, to, 1));
        let names: Vec<_> = edited.types.keys().collect();
        assert_eq!(names, base.types.keys().collect::<Vec<_>>(), "{to}");
        let differing = edited
            .types
            .iter()
            .filter(|(name, number)| base.types[*name] != **number && !name.contains(':'));
        let differing: Vec<_> = differing.map(|(name, _)| name.as_str()).collect();
        assert_eq!(differing.join(" "), changed, "{from} -> {to}");
        assert_eq!(edited.macros != base.macros, to.contains("$name"), "{to}");
    }
}

#[test]
fn names_given_to_reflection_are_followed() {
    let made = sources("#[type_path = \"arena::data\"] #[type_name = \"Life\"] struct Health(u8);");
    assert_eq!(
        made.crates.into_iter().collect::<Vec<_>>(),
        ["arena", "game"]
    );
    let paths: Vec<_> = made.types.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        ["Health", "Life", "arena::data::Life", "game::Health"]
    );
    let number = made.types["Health"];
    assert!(made.types.values().all(|other| *other == number));
}

#[test]
fn modules_are_told_apart_where_they_define_a_name() {
    let of = |inner: &str| {
        let files = [
            (
                "",
                "mod a { struct T(In); struct In(u8); struct Far(super::b::In); } struct T(Only);",
            ),
            (
                "b::c",
                "struct T(In); use crate::a::In as Other; struct Named(Other); make!(In);",
            ),
            ("b", inner),
        ];
        let files = files.map(|(module, text)| (module.to_owned(), text.to_owned()));
        Sources::of("game", &files, 0).types
    };
    let before = of("struct In(u8); struct Only(u8);");
    let after = of("struct In(i8); struct Only(u8);");
    let differing = after
        .iter()
        .filter(|(name, number)| before[*name] != **number);
    let differing: Vec<_> = differing.map(|(name, _)| name.as_str()).collect();
    // `T` alone means all of them; `b::c` defines no `In` of its own.
    assert_eq!(
        differing,
        [
            "Far",
            "In",
            "Named",
            "T",
            "game::a::Far",
            "game::b::In",
            "game::b::c::In",
            "game::b::c::Named",
            "game::b::c::T"
        ]
    );
}

#[test]
fn files_hold_modules() {
    let check = |file: &str, expected| {
        let folder = Path::new("/game");
        assert_eq!(
            files::module(folder, &folder.join(file)),
            expected,
            "{file}"
        );
    };
    check("src/lib.rs", "");
    check("src/main.rs", "");
    check("src/motion.rs", "motion");
    check("src/motion/mod.rs", "motion");
    check("src/motion/integrate.rs", "motion::integrate");
}

#[test]
fn dependencies_are_found_in_manifests() {
    let folder = std::env::temp_dir().join(format!("liveloop-sources-{}", std::process::id()));
    let write = |file: &str, text: &str| {
        let file = folder.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write(
        "Cargo.toml",
        "[workspace]\n[workspace.dependencies]\nshared = { path = \"shared\" }\nunused = { path = \"unused\" }\n",
    );
    write("Cargo.lock", "lock");
    write(
        "game/Cargo.toml",
        "[dependencies]\nshared.workspace = true\nengine_api = { path = \"../api\" }\n",
    );
    write(
        "game/src/lib.rs",
        "struct Game; include!(\"../../outside.inc\");",
    );
    write("game/target/debug/made.rs", "struct Made;");
    write("api/Cargo.toml", "");
    write("api/src/lib.rs", "api");
    write("unused/Cargo.toml", "");
    write("unused/src/lib.rs", "unused");
    write(
        "shared/Cargo.toml",
        "[dependencies.deep]\npath = \"../deep\"\n",
    );
    write("shared/src/lib.rs", "shared");
    write("deep/Cargo.toml", "");
    write("outside.inc", "struct Outside;");
    write("deep/src/a/b.rs", "deep");
    let dependencies = files::dependencies(&folder.join("game"));
    let read = Sources::read("game", &folder.join("game"));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(dependencies, ["lock", "deep", "shared"]);
    assert_eq!(
        read.types.into_keys().collect::<Vec<_>>(),
        ["Game", "Outside", "game::Game", "game::outside::Outside"]
    );
    assert_eq!(read.dependencies, hash(&dependencies));
}

#[test]
fn what_hides_behind_other_names_is_found() {
    for (base, from, to, name) in [
        (
            "macro_rules! hidden { ($t:ty) => { struct Hidden { secret: $t } } } hidden!(u32);",
            "hidden!(u32)",
            "hidden!(f32)",
            "Hidden",
        ),
        (
            "fn f() { macro_rules! own { ($t:ty) => { struct Own($t); } } own!(u32); }",
            "own!(u32)",
            "own!(f32)",
            "Own",
        ),
        (
            "macro_rules! tr { ($t:ty) => { trait Out { type O; } impl<T> Out for T { type O = $t; } } } \
             tr!(u32); struct Assoc { secret: <u8 as Out>::O }",
            "tr!(u32)",
            "tr!(f32)",
            "Assoc",
        ),
        (
            "struct Raw { secret: r#Inner } type Inner = u32;",
            "= u32",
            "= f32",
            "Raw",
        ),
        (
            "type Cell = u32; mod inner { use super::*; struct Shadow(Cell); trait Board { type Cell; } \
             impl Board for Shadow { type Cell = u64; } }",
            "= u32",
            "= f32",
            "game::inner::Shadow",
        ),
        (
            "mod base { type Unit = u32; } mod uses { use super::base::*; struct Globbed(Unit); \
             fn helper() { use std::primitive::u64 as Unit; } const Unit: u8 = 1; }",
            "= u32",
            "= f32",
            "game::uses::Globbed",
        ),
    ] {
        assert!(base.contains(from));
        let (old, new) = (sources(base), sources(&base.replacen(from, to, 1)));
        assert_ne!(old.types[name], new.types[name], "{base}");
    }
}

#[test]
fn dependencies_may_be_called_anything() {
    let names = |manifest: &str| {
        let found: Vec<String> = files::paths(manifest)
            .map(|(name, path)| format!("{name} {path}"))
            .collect();
        found.join(", ")
    };
    assert_eq!(
        names(
            "[dependencies]\npathfinding = { path = \"../pathfinding\" }\nquoted = { path = '../q' }\n\
               [dependencies.deep]\npath=\"d\"\n[lib]\nname = \"path\""
        ),
        "pathfinding ../pathfinding, quoted ../q, deep d"
    );
}
