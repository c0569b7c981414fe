//! What arrives from the hub. Text is made harmless here, once, so that nothing
//! behind this needs to think of it; only `rendered` stays as it is, for
//! [`crate::ansi`].

use inspector_protocol::message::{Answer, Event, HostDeath, LogLine};
use inspector_protocol::status::{HostState, ReloadStatus, Status};

use super::{act, is_success, notice};
use crate::rows;
use crate::state::{Focus, MAX_LOG, Model, Panel, State};
use crate::text::{clean_line, clean_text, millis};

/// Applies an event.
pub(super) fn event(state: &mut State, event: Event) {
    match event {
        Event::Status(status) => set_status(state, status),
        Event::Log(line) => add_line(state, line),
        Event::Viewport(frame) => {
            state.is_dirty |= state.frozen.is_none();
            state.live.viewport = Some(frame);
        }
        Event::Reload(reload) => add_reload(state, reload),
        Event::HostDown(death) => {
            let death = clean_death(death);
            // A success that is still shown is none any more.
            if state.fresh_notice().is_some_and(|notice| !notice.is_error) {
                let place = death.during.as_ref();
                let place = place.map_or(String::new(), |during| format!(" in {during}"));
                notice(state, format!("the host died: {}{place}", death.how), true);
            }
            state.live.death = Some(death);
            if let Some(status) = &mut state.live.status {
                status.engine.host = HostState::Down;
            }
            state.is_dirty = true;
        }
        Event::Answer { id, answer } => answered(state, id, answer),
        Event::Dropped { count } => {
            state.dropped = state.dropped.saturating_add(count);
            state.is_dirty = true;
        }
        // Part of the handshake; nothing to show.
        Event::Welcome { .. } | Event::Refused { .. } => {}
    }
}

fn set_status(state: &mut State, mut status: Box<Status>) {
    clean_status(&mut status);
    status
        .problems
        .sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    tell_restart(state, &status);
    keep_selection(state, |model| {
        let before = model.status.as_ref().map(|status| &status.engine);
        let is_other_host = before.is_some_and(|engine| engine.run_id != status.engine.run_id);
        if is_other_host {
            model.viewport = None;
            model.host_started_ms = status.engine.uptime_ms;
        }
        // The death of a host is news until another one runs.
        if status.engine.host == HostState::Running {
            model.death = None;
        }
        model.status = Some(status);
    });
    // The next stall is news again.
    state.waits &= state.live.stall().is_some();
    state.is_dirty = true;
}

/// Says that another host runs, and from which moment the game goes on.
fn tell_restart(state: &mut State, status: &Status) {
    let Some(restart) = &status.engine.restart else {
        return;
    };
    let known = state.live.status.as_ref();
    // Whoever has just come sees it in the header.
    if known.is_none_or(|known| known.engine.restart.as_ref() == Some(restart)) {
        return;
    }
    let from = match restart.checkpoint {
        Some(checkpoint) => format!(
            "from a checkpoint {} before that",
            millis(checkpoint.age_ms as f64)
        ),
        None => "from its beginning".to_owned(),
    };
    let text = if restart.is_first {
        format!("{}; the game begins", restart.reason)
    } else {
        format!("{}; the game goes on {from}", restart.reason)
    };
    notice(state, text, true);
}

/// Changes the model and finds the selected rows again in what came out.
fn keep_selection(state: &mut State, change: impl FnOnce(&mut Model)) {
    let is_shown = state.frozen.is_none();
    let keys = Panel::ALL.map(|panel| rows::key(&state.live, panel, state.selected[panel.index()]));
    change(&mut state.live);
    if !is_shown {
        return;
    }
    for (panel, key) in Panel::ALL.into_iter().zip(keys) {
        // Their first row is the news; it stays selected, and where nobody reads further
        // down they go back to it.
        if matches!(panel, Panel::Reloads | Panel::Problems) {
            let has_focus = state.focus == Focus::Panels && state.panel == panel;
            let selected = &mut state.selected[panel.index()];
            if !has_focus {
                *selected = 0;
            }
            if *selected == 0 {
                continue;
            }
        }
        if let Some(row) = key.and_then(|key| rows::find(&state.live, panel, &key)) {
            state.selected[panel.index()] = row;
        }
    }
    act::clamp_selection(state);
}

fn add_line(state: &mut State, mut line: LogLine) {
    line.module = clean_line(&line.module);
    let mut message = clean_text(&line.message);
    message.truncate(message.trim_end().len());
    line.message = message;
    let log = &mut state.live.log;
    if log.len() >= MAX_LOG {
        log.pop_front();
        // The selected line moved up by one.
        if state.frozen.is_none() {
            let row = &mut state.selected[Panel::Log.index()];
            *row = row.saturating_sub(1);
        }
    }
    log.push_back(line);
    if state.follow && state.frozen.is_none() {
        state.selected[Panel::Log.index()] = log.len() - 1;
    }
    state.is_dirty = true;
}

fn add_reload(state: &mut State, mut reload: ReloadStatus) {
    clean_reload(&mut reload);
    keep_selection(state, |model| {
        let Some(status) = &mut model.status else {
            return;
        };
        match status
            .reloads
            .iter_mut()
            .find(|known| known.seq == reload.seq)
        {
            Some(known) => *known = reload,
            None => status.reloads.push(reload),
        }
    });
    state.is_dirty = true;
}

fn answered(state: &mut State, id: u64, answer: Answer) {
    let Some(index) = state.pending.iter().position(|pending| pending.id == id) else {
        return;
    };
    let what = state.pending.remove(index).what;
    match answer {
        Answer::Done => notice(state, format!("{what}: done"), false),
        Answer::Error(reason) => notice(state, format!("{what}: {}", clean_line(&reason)), true),
        Answer::Value(value) => notice(state, format!("{what}: {}", clean_line(&value)), false),
        Answer::Status(status) => set_status(state, status),
        Answer::Reload(mut reload) => {
            clean_reload(&mut reload);
            let is_error = !is_success(reload.outcome);
            notice(
                state,
                format!("{what}: {}", reload_sentence(&reload)),
                is_error,
            );
        }
    }
}

/// `applied, v2 -> v3: 2 fields added`
fn reload_sentence(reload: &ReloadStatus) -> String {
    let outcome = reload.outcome.name().replace('_', " ");
    let versions = match (reload.from, reload.to) {
        (Some(from), Some(to)) => format!(", v{from} -> v{to}"),
        _ => String::new(),
    };
    match reload.message.as_str() {
        "" => outcome + &versions,
        message => format!("{outcome}{versions}: {message}"),
    }
}

fn clean_death(death: HostDeath) -> HostDeath {
    HostDeath {
        how: clean_line(&death.how),
        during: death.during.as_deref().map(clean_line),
        backtrace: death
            .backtrace
            .iter()
            .map(|line| clean_line(line))
            .collect(),
        stderr: death.stderr.iter().map(|line| clean_text(line)).collect(),
    }
}

fn clean_reload(reload: &mut ReloadStatus) {
    for text in [&mut reload.module, &mut reload.trigger] {
        *text = clean_line(text);
    }
    reload.message = clean_line(&reload.message);
}

fn clean_status(status: &mut Status) {
    let clean = |text: &mut String| *text = clean_line(text);
    clean(&mut status.engine.run_id);
    clean(&mut status.engine.profile);
    if let Some(restart) = &mut status.engine.restart {
        clean(&mut restart.reason);
    }
    if let Some(stall) = &mut status.engine.stall {
        for text in [&mut stall.module, &mut stall.function, &mut stall.thread] {
            clean(text);
        }
    }
    for module in &mut status.modules {
        clean(&mut module.name);
        clean(&mut module.kind);
        for version in &mut module.versions {
            clean(&mut version.label);
            clean(&mut version.hash);
            version.pinned_by.iter_mut().for_each(clean);
        }
    }
    for call in &mut status.calls {
        clean(&mut call.module);
        clean(&mut call.function);
        clean(&mut call.thread);
    }
    status.reloads.iter_mut().for_each(clean_reload);
    for problem in &mut status.problems {
        clean(&mut problem.module);
        clean(&mut problem.file);
        clean(&mut problem.message);
    }
}
