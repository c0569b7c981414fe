//! Patches: sources that hold some functions of a module, to be put into its running source.

use crate::outline::{Written, other_than_functions, outline};

/// The running source with the functions of a patch in it. Other functions keep their text, so
/// the result is reloaded like any other edit.
///
/// # Errors
/// What the patch must not hold, for people.
pub fn patched(running: &str, patch: &str) -> Result<String, String> {
    let (old, new) = (outline(running), outline(patch));
    if let Some(other) = other_than_functions(patch, &new) {
        return Err(format!(
            "there is `{other}` in the patch; a patch holds functions alone, push the whole \
             source to change more"
        ));
    }
    let mut bodies: Vec<(&Written, &Written)> = Vec::new();
    for function in outermost(&new) {
        let name = function
            .name
            .as_deref()
            .ok_or("a function in the patch has no name")?;
        let mut there = outermost(&old).filter(|old| old.name.as_deref() == Some(name));
        let (Some(before), None) = (there.next(), there.next()) else {
            return Err(format!(
                "`{name}` is not one function of the module; push the whole source to add it"
            ));
        };
        if before.is_method != function.is_method {
            return Err(format!(
                "`{name}` is written with `:` on one side and with `.` on the other"
            ));
        }
        bodies.push((before, function));
    }
    if bodies.is_empty() {
        return Err("there is no function in the patch".into());
    }
    bodies.sort_by_key(|(before, _)| before.body.start);
    let mut result = String::new();
    let mut at = 0;
    for (before, function) in bodies {
        if before.body.start < at {
            return Err("a function is in the patch twice".into());
        }
        result.push_str(&running[at..before.body.start]);
        result.push_str(&patch[function.body.clone()]);
        at = before.body.end;
    }
    result.push_str(&running[at..]);
    Ok(result)
}

fn outermost(functions: &[Written]) -> impl Iterator<Item = &Written> {
    functions
        .iter()
        .skip(1)
        .filter(|function| !function.is_nested)
}

#[cfg(test)]
mod tests {
    use super::patched;

    const RUNNING: &str = "local M = {}\nlocal hits = 0\nlocal function help(x) return x end\n\
        function M:hit(n) hits = hits + help(n) return hits end\nM.f = function() end\nreturn M\n";

    #[test]
    fn functions_of_a_patch_replace_those_of_their_name() {
        let patch = "-- only two\nlocal function help(x) return x * 2 end\n\
            function M.f(a) return function() return a end end";
        let result = patched(RUNNING, patch).unwrap();
        assert_eq!(
            result,
            "local M = {}\nlocal hits = 0\nlocal function help(x) return x * 2 end\n\
             function M:hit(n) hits = hits + help(n) return hits end\n\
             M.f = function(a) return function() return a end end\nreturn M\n"
        );
    }

    #[test]
    fn what_is_no_function_of_the_module_is_refused() {
        for (patch, reason) in [
            ("function M.other() end", "`M.other` is not one function"),
            ("function M.hit(self, n) end", "`M.hit` is written with `:`"),
            ("M.f = function() end print(1)", "there is `(` in the patch"),
            ("M.f = function() end x = 5", "there is `5` in the patch"),
            (
                "local function help() end local function help() end",
                "twice",
            ),
            ("", "there is no function"),
        ] {
            let error = patched(RUNNING, patch).unwrap_err();
            assert!(error.contains(reason), "{patch}: {error}");
        }
    }
}
