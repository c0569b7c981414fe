//! What a build tells the compiler besides the sources.

/// Features and other settings (`--cfg`), and the libraries of dependencies, whose names
/// change with their versions and features, out of the compiler's arguments.
pub fn settings(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut settings = Vec::new();
    let mut before = String::new();
    for argument in arguments {
        let (key, value) = match argument.split_once('=') {
            Some((key @ ("--cfg" | "--extern"), value)) => (key, value),
            _ => (before.as_str(), argument.as_str()),
        };
        match key {
            "--cfg" => settings.push(value.to_owned()),
            "--extern" => settings.push(file_stem(value).to_owned()),
            _ => {}
        }
        before = argument;
    }
    settings.sort();
    settings
}

/// `libglam-12ab` of `glam=/target/debug/deps/libglam-12ab.rmeta`: where it lies and
/// which of its forms is used does not matter.
fn file_stem(library: &str) -> &str {
    let file = library.rsplit(['/', '\\', '=']).next().unwrap_or(library);
    file.split('.').next().unwrap_or(file)
}

/// Variables that the sources ask for with `env!` and `option_env!`, with their values.
pub fn variables(texts: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (_, text) in texts {
        for rest in text.split("env!").skip(1) {
            let name = rest.trim_start_matches(['(', '[', '{', ' ', '\n']);
            let Some(name) = name
                .strip_prefix('"')
                .and_then(|name| name.split('"').next())
            else {
                continue;
            };
            // A folder, whose files are read.
            if name != "OUT_DIR" {
                found.push(format!(
                    "{name}={}",
                    std::env::var(name).unwrap_or_default()
                ));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_arguments() {
        let arguments = "rustc --cfg feature=\"big\" -C metadata=1 --extern glam=/a/libglam-1f.rmeta \
                         --cfg=wide --extern noprelude:b=/c/libb-2.rlib -O";
        assert_eq!(
            settings(arguments.split(' ').map(str::to_owned)),
            ["feature=\"big\"", "libb-2", "libglam-1f", "wide"]
        );
    }

    #[test]
    fn variables_are_named_in_sources() {
        let text = "const A: &str = env!(\"CARGO_PKG_NAME\"); include!(concat!(env!(\"OUT_DIR\"), \"a\"));";
        let texts = [(String::new(), text.to_owned())];
        assert_eq!(variables(&texts), ["CARGO_PKG_NAME=engine_macros"]);
    }
}
