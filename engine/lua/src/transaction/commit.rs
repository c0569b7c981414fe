//! The end of a transaction: references are redirected, and the new versions recorded.

use std::collections::BTreeSet;

use mlua::{Function, Lua, Table};

use super::{Incoming, Ready};
use crate::chunk;
use crate::declared::View;
use crate::drain;
use crate::merge::Merged;
use crate::modules::{self, Draining, Module};
use crate::plan::{OldProtos, plan, succeed};
use crate::raw::{AddressSet, pointer_address};
use crate::redirect::Redirect;
use crate::report::{Change, Cost, ModuleReport, Report};

/// Makes the new versions those that run. Nothing here can fail but for want of memory.
pub(super) fn commit(
    lua: &Lua,
    ready: Ready,
    objects: usize,
    skip: &AddressSet,
) -> mlua::Result<Report> {
    let mut redirect = Redirect::new(lua)?;
    add_tables(&mut redirect, lua, &ready.merged, &ready.overlays)?;
    let mut reports = Vec::new();
    let mut arriving = Vec::new();
    for incoming in ready.incoming {
        let (name, arrival) = arrive(lua, incoming, &mut redirect)?;
        reports.push(arrival.report.clone());
        arriving.push((name, arrival));
    }
    // What only this transaction held is no reason for an old version to stay.
    drop(ready.merged);
    drop(ready.overlays);
    // Weak sets of what was left before are no reason either.
    let mut skip = skip.clone();
    skip.extend(drain::sets(lua)?);
    let (done, left) = redirect.run(lua, objects, &skip)?;
    let mut report = Report {
        modules: reports,
        objects,
        redirected: done.count,
        old_bodies: done.old_bodies,
        cost: Cost::default(),
        follow: ready.dependents,
    };
    let mut changed = BTreeSet::new();
    for (name, arrival) in arriving {
        let module = report
            .modules
            .iter_mut()
            .find(|module| module.module == name);
        if let Some(module) = module {
            for (variable, node) in &done.never_captured {
                if let Some(function) = arrival.functions.get(*node) {
                    let note = format!(
                        "closures that were made before never captured `{variable}`; they keep \
                         their old body"
                    );
                    module.note(Change::NotApplied, function, note);
                }
            }
        }
        changed.insert(name.clone());
        modules::with(lua, |modules| {
            let draining = arrival.draining.map(|(version, main)| Draining {
                module: name.clone(),
                version,
                main,
                left: left.clone(),
            });
            modules.draining.extend(draining);
            modules.by_name.insert(name, arrival.module);
        })?;
    }
    modules::with(lua, |modules| modules.objects = objects)?;
    drain::record(lua, &left, &changed)?;
    for (name, version) in report.modules.iter().map(|m| (m.module.clone(), m.to)) {
        let mut loader = lua
            .app_data_mut::<chunk::Loader>()
            .ok_or_else(|| mlua::Error::runtime("this state has no loader"))?;
        loader.next_version.insert(name, version + 1);
    }
    Ok(report)
}

/// A module as it will be recorded.
struct Arrival {
    module: Module,
    report: ModuleReport,
    /// Number and main function of the version before.
    draining: Option<(u32, Function)>,
    /// Names of the new version's functions, by prototype.
    functions: Vec<String>,
}

/// Says what the walk does with references to one module's old version.
fn arrive(
    lua: &Lua,
    incoming: Incoming,
    redirect: &mut Redirect,
) -> mlua::Result<(String, Arrival)> {
    let Incoming {
        fresh,
        declared,
        policy,
        old,
        mut view,
        report,
        bases,
        ..
    } = incoming;
    let name = fresh.name.clone();
    // Cells were joined since.
    view = View::new(lua, &fresh.protos, &fresh.written, &view.declared)?;
    let before = modules::with(lua, |modules| modules.by_name.remove(&name))?;
    let mut old_protos = OldProtos::default();
    let mut draining = None;
    if let (Some(old), Some(before)) = (old, before) {
        for (from, to) in &old.pairing.functions {
            let from = &old.view.declared.functions[*from].function;
            let to = &declared.functions[*to].function;
            redirect.object(pointer_address(from.to_pointer()), to)?;
        }
        old_protos = succeed(
            &before.old_protos,
            &old.view,
            old.version,
            &old.pairing.nodes,
        );
        for (id, proto) in &old_protos {
            let plan = plan(proto, &view);
            redirect.closures(lua, *id, plan, &fresh.main, |number| {
                declared.functions[number].function.clone()
            })?;
        }
        draining = Some((old.version, before.main));
    }
    let functions = (0..fresh.protos.len())
        .map(|node| view.name_of(node))
        .collect();
    let module = Module {
        version: fresh.version,
        source: fresh.source,
        policy,
        main: fresh.main,
        protos: fresh.protos,
        written: fresh.written,
        declared,
        bases,
        requires: fresh.requires,
        hot: fresh.hot,
        old_protos,
    };
    let arrival = Arrival {
        module,
        report,
        draining,
        functions,
    };
    Ok((name, arrival))
}

/// References to merged tables become references to the kept ones, and those to overlays
/// references to the globals.
pub(super) fn add_tables(
    redirect: &mut Redirect,
    lua: &Lua,
    merged: &Merged,
    overlays: &[Table],
) -> mlua::Result<()> {
    for (from, to) in &merged.kept {
        if *from != pointer_address(to.to_pointer()) {
            redirect.object(*from, to)?;
        }
    }
    for overlay in overlays {
        redirect.object(pointer_address(overlay.to_pointer()), lua.globals())?;
    }
    Ok(())
}
