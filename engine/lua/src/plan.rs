//! How a closure of an old version gets a new body: where each variable comes from that the
//! new body captures.

use std::collections::BTreeMap;

use crate::declared::View;
use crate::layout::{Capture, ProtoId};
use crate::raw::AddressMap;

/// Where the new closure gets a captured variable from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Capture of the old closure.
    Own(usize),
    /// Capture of a function of the new version: that function, and which.
    Function(usize, usize),
    /// The globals.
    Environment,
}

/// A new body for closures with an old one.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) proto: ProtoId,
    pub(crate) origins: Vec<Origin>,
}

/// What is known of a prototype of a version that no longer runs.
#[derive(Debug, Clone)]
pub(crate) struct OldProto {
    pub(crate) version: u32,
    /// Its name in that version.
    pub(crate) name: String,
    pub(crate) captures: Vec<Capture>,
    /// Its number in the version that runs, if it is there.
    pub(crate) node: Option<usize>,
}

/// All prototypes of a module's old versions, by identity.
pub(crate) type OldProtos = AddressMap<OldProto>;

/// Why a closure keeps its old body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoPlan {
    /// The function is not in the new source.
    Gone,
    /// The new body needs a variable that the closure never captured.
    NeverCaptured { name: String, node: usize },
}

/// Makes the plan for closures of an old prototype.
pub(crate) fn plan(old: &OldProto, new: &View) -> Result<Plan, NoPlan> {
    let node = old.node.ok_or(NoPlan::Gone)?;
    let proto = &new.protos[node];
    let mut origins = Vec::new();
    for (number, capture) in proto.captures.iter().enumerate() {
        let own = old
            .captures
            .iter()
            .position(|before| before.name == capture.name);
        let origin = match own {
            Some(own) => Origin::Own(own),
            None if capture.name == "_ENV" => Origin::Environment,
            None => {
                let (function, capture) =
                    of_the_module(new, node, number).ok_or_else(|| NoPlan::NeverCaptured {
                        name: capture.name.clone(),
                        node,
                    })?;
                Origin::Function(function, capture)
            }
        };
        origins.push(origin);
    }
    Ok(Plan {
        proto: proto.id,
        origins,
    })
}

/// A function of the new version that has the variable which `node` captures as `capture`, if
/// that is one of the source's outermost level, of which there is one.
fn of_the_module(new: &View, mut node: usize, mut capture: usize) -> Option<(usize, usize)> {
    let mut found = None;
    loop {
        if found.is_none() {
            found = unique_instance(new, node, capture);
        }
        let taken = &new.protos[node].captures[capture];
        let parent = new.protos[node].parent?;
        if taken.is_local_of_parent {
            // Locals of functions exist once for each call.
            return if parent == 0 { found } else { None };
        }
        (node, capture) = (parent, taken.index);
    }
}

fn unique_instance(new: &View, node: usize, capture: usize) -> Option<(usize, usize)> {
    let instances = &new.instances[node];
    let cell = |instance: usize| new.upvalues[instance][capture].cell;
    let first = *instances.first()?;
    instances
        .iter()
        .all(|other| cell(*other) == cell(first))
        .then_some((first, capture))
}

/// The prototypes of the versions before the one that runs now, after a reload.
pub(crate) fn succeed(
    before: &OldProtos,
    old: &View,
    version: u32,
    nodes: &BTreeMap<usize, usize>,
) -> OldProtos {
    let mut after = OldProtos::default();
    for (id, proto) in before {
        let node = proto.node.and_then(|node| nodes.get(&node).copied());
        let proto = OldProto {
            node,
            ..proto.clone()
        };
        after.insert(*id, proto);
    }
    // Number 0 is the source itself, which runs once.
    for (number, proto) in old.protos.iter().enumerate().skip(1) {
        let proto_id = proto.id;
        let proto = OldProto {
            version,
            name: old.name_of(number),
            captures: proto.captures.clone(),
            node: nodes.get(&number).copied(),
        };
        after.insert(proto_id, proto);
    }
    after
}
