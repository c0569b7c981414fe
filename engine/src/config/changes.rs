//! What another configuration asks of an engine that runs.

use super::{Config, ModuleConfig};

/// The difference between two configurations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfigChanges {
    /// Modules with another name and the same path: before and now.
    pub(crate) renamed: Vec<(String, String)>,
    /// Modules that are new.
    pub(crate) appeared: Vec<String>,
    /// Modules that are no longer there.
    pub(crate) gone: Vec<String>,
    /// Whether the list of modules differs at all: also their order, or where one lies.
    pub(crate) has_other_modules: bool,
    /// Whether frame rate or policies differ.
    pub(crate) has_other_settings: bool,
}

impl Config {
    /// What has to be done when `next` takes the place of this one.
    pub(crate) fn changes(&self, next: &Self) -> ConfigChanges {
        let is_in =
            |modules: &[ModuleConfig], name: &str| modules.iter().any(|module| module.name == name);
        let mut appeared: Vec<&ModuleConfig> = next
            .modules
            .iter()
            .filter(|module| !is_in(&self.modules, &module.name))
            .collect();
        let mut changes = ConfigChanges {
            has_other_modules: self.modules != next.modules,
            has_other_settings: self.frame_rate != next.frame_rate
                || self.policies != next.policies,
            ..ConfigChanges::default()
        };
        for old in &self.modules {
            if is_in(&next.modules, &old.name) {
                continue;
            }
            let same_path = appeared.iter().position(|new| new.path == old.path);
            match same_path {
                Some(index) => {
                    let new = appeared.remove(index).name.clone();
                    changes.renamed.push((old.name.clone(), new));
                }
                None => changes.gone.push(old.name.clone()),
            }
        }
        changes.appeared = appeared
            .into_iter()
            .map(|module| module.name.clone())
            .collect();
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(modules: &[(&str, &str)], more: &str) -> Config {
        let modules = modules
            .iter()
            .map(|(name, path)| format!("(name: {name:?}, kind: native, path: {path:?})"));
        let modules: Vec<String> = modules.collect();
        let text = format!("(modules: [{}], {more})", modules.join(", "));
        Config::parse("engine.ron", text, None).unwrap()
    }

    #[test]
    fn modules_appear_go_and_get_other_names() {
        let before = config(&[("core", "core"), ("ai", "ai")], "");
        let check =
            |next: &[(&str, &str)], renamed: &[(&str, &str)], appeared: &[&str], gone: &[&str]| {
                let changes = before.changes(&config(next, ""));
                let named = |(old, new): &(&str, &str)| ((*old).to_owned(), (*new).to_owned());
                let expected = ConfigChanges {
                    renamed: renamed.iter().map(named).collect(),
                    appeared: appeared.iter().map(ToString::to_string).collect(),
                    gone: gone.iter().map(ToString::to_string).collect(),
                    has_other_modules: true,
                    has_other_settings: false,
                };
                assert_eq!(changes, expected, "{next:?}");
            };
        let (core, ai) = (("core", "core"), ("ai", "ai"));
        check(&[core, ai, ("ui", "ui")], &[], &["ui"], &[]);
        check(&[ai], &[], &[], &["core"]);
        check(&[ai, core], &[], &[], &[]);
        check(&[core, ("brain", "ai")], &[("ai", "brain")], &[], &[]);
        // The same name in another place is the module it was.
        check(&[core, ("ai", "smarter")], &[], &[], &[]);
        check(&[core, ("ui", "ui")], &[], &["ui"], &["ai"]);
        // One path under two names: the old one stays.
        check(&[core, ai, ("brain", "ai")], &[], &["brain"], &[]);
    }

    #[test]
    fn settings_differ_or_not() {
        let modules = [("core", "core")];
        let before = config(&modules, "");
        assert_eq!(before.changes(&before), ConfigChanges::default());
        for more in ["frame_rate: 30", "policies: (checkpoints_kept: 3)"] {
            let changes = before.changes(&config(&modules, more));
            assert!(
                changes.has_other_settings && !changes.has_other_modules,
                "{more}"
            );
        }
    }
}
