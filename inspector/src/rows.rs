//! The rows of each panel, derived from the model: how many, what each is
//! about, and how to find it again when the model has changed.

use inspector_protocol::status::{ModuleStatus, Status, VersionStatus};

use crate::state::{Detail, Model, Panel};

/// A row of the modules panel.
#[derive(Debug, Clone, Copy)]
pub enum ModuleRow<'a> {
    /// The module itself.
    Module(&'a ModuleStatus),
    /// One of its versions, newest first below it.
    Version(&'a ModuleStatus, &'a VersionStatus),
}

/// The rows of the modules panel.
pub fn module_rows(status: &Status) -> impl Iterator<Item = ModuleRow<'_>> {
    status.modules.iter().flat_map(|module| {
        let versions = module
            .versions
            .iter()
            .rev()
            .map(move |version| ModuleRow::Version(module, version));
        std::iter::once(ModuleRow::Module(module)).chain(versions)
    })
}

/// How many rows a panel has.
pub fn count(model: &Model, panel: Panel) -> usize {
    let Some(status) = &model.status else {
        return if panel == Panel::Log {
            model.log.len()
        } else {
            0
        };
    };
    match panel {
        Panel::Modules => module_rows(status).count(),
        Panel::Calls => status.calls.len(),
        Panel::Reloads => status.reloads.len(),
        Panel::Problems => status.problems.len(),
        Panel::Log => model.log.len(),
    }
}

/// What stays the same about a row while the rows around it come and go.
pub fn key(model: &Model, panel: Panel, row: usize) -> Option<String> {
    if panel == Panel::Log {
        return model.log.get(row).map(|line| line.seq.to_string());
    }
    let status = model.status.as_ref()?;
    match panel {
        Panel::Modules => module_rows(status).nth(row).map(|row| match row {
            ModuleRow::Module(module) => module.name.clone(),
            ModuleRow::Version(module, version) => format!("{} v{}", module.name, version.version),
        }),
        Panel::Calls => status.calls.get(row).map(|call| {
            format!(
                "{} v{} {} {}",
                call.module, call.version, call.function, call.thread
            )
        }),
        Panel::Reloads => status
            .reloads
            .iter()
            .nth_back(row)
            .map(|reload| reload.seq.to_string()),
        Panel::Problems => status
            .problems
            .get(row)
            .map(|problem| format!("{}:{} {}", problem.file, problem.line, problem.message)),
        Panel::Log => None,
    }
}

/// Where the row with this key is now.
pub fn find(model: &Model, panel: Panel, wanted: &str) -> Option<usize> {
    (0..count(model, panel)).find(|row| key(model, panel, *row).as_deref() == Some(wanted))
}

/// The module a row is about.
pub fn module(model: &Model, panel: Panel, row: usize) -> Option<&str> {
    let name = if panel == Panel::Log {
        model.log.get(row)?.module.as_str()
    } else {
        let status = model.status.as_ref()?;
        match panel {
            Panel::Modules => match module_rows(status).nth(row)? {
                ModuleRow::Module(module) | ModuleRow::Version(module, _) => &module.name,
            },
            Panel::Calls => &status.calls.get(row)?.module,
            Panel::Reloads => &status.reloads.iter().nth_back(row)?.module,
            Panel::Problems => &status.problems.get(row)?.module,
            Panel::Log => return None,
        }
    };
    Some(name).filter(|name| !name.is_empty())
}

/// What opening a row shows.
pub fn detail(model: &Model, panel: Panel, row: usize) -> Option<Detail> {
    if panel == Panel::Log {
        return model.log.get(row).cloned().map(Detail::Log);
    }
    let status = model.status.as_ref()?;
    match panel {
        Panel::Modules => module(model, panel, row).map(|name| Detail::Module(name.to_owned())),
        Panel::Calls => status.calls.get(row).cloned().map(Detail::Call),
        Panel::Reloads => status
            .reloads
            .iter()
            .nth_back(row)
            .cloned()
            .map(Detail::Reload),
        Panel::Problems => status.problems.get(row).cloned().map(Detail::Problem),
        Panel::Log => None,
    }
}
