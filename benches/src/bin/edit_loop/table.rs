//! The figures as text.

use std::fmt;
use std::time::Duration;

use inspector_protocol::status::ReloadTimings;
use liveloop_benches::paired::{median, quantile};

use crate::{EngineEdit, FlowEdit};

/// All rows.
pub(crate) struct Table {
    rows: Vec<Row>,
}

/// One step over all edits.
struct Row {
    step: &'static str,
    milliseconds: Vec<f64>,
    /// Each over the bare replay of the same edit.
    ratios: Vec<f64>,
}

impl Table {
    /// The figures of all edits.
    pub(crate) fn of(engine: &[EngineEdit], flow: &[FlowEdit]) -> Self {
        let step = |step, figure: &dyn Fn(&ReloadTimings) -> f64| {
            let pairs = engine
                .iter()
                .map(|edit| (figure(&edit.timings), edit.replay));
            Row::new(step, pairs)
        };
        let of_flow = |step, figure: &dyn Fn(&FlowEdit) -> Duration| {
            Row::new(
                step,
                flow.iter()
                    .map(|edit| (milliseconds(figure(edit)), edit.replay)),
            )
        };
        let whole = |edit: &EngineEdit| (milliseconds(edit.save_to_running), edit.replay);
        let rows = vec![
            Row::new(
                "bare replay of the same edit",
                engine
                    .iter()
                    .map(|edit| (milliseconds(edit.replay), edit.replay)),
            ),
            Row::new("engine: save to new code running", engine.iter().map(whole)),
            step("  detect", &|timings| timings.detect),
            step("  build", &|timings| timings.build),
            step("  load", &|timings| timings.load),
            step("  migrate", &|timings| timings.migrate),
            step("  swap", &|timings| timings.swap),
            step("  total as the engine reports it", &|timings| timings.total),
            of_flow("bare replay, beside hot-lib-reloader", &|edit| edit.replay),
            of_flow("hot-lib-reloader: save to updated", &|edit| {
                edit.cargo + edit.update
            }),
            of_flow("  cargo", &|edit| edit.cargo),
            of_flow("  notice and update", &|edit| edit.update),
        ];
        Self { rows }
    }
}

impl Row {
    fn new(step: &'static str, pairs: impl Iterator<Item = (f64, Duration)>) -> Self {
        let (all, ratios) = pairs
            .map(|(step, replay)| (step, step / milliseconds(replay)))
            .unzip();
        Self {
            step,
            milliseconds: all,
            ratios,
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edits = |index: usize| self.rows.get(index).map_or(0, |row| row.ratios.len());
        writeln!(
            f,
            "{} edits through the engine (target: ratio 1.3), {} through",
            edits(0),
            edits(8)
        )?;
        writeln!(
            f,
            "hot-lib-reloader; ratios are to the bare replay of the same edit\n"
        )?;
        writeln!(
            f,
            "{:<38}{:>11}{:>11}{:>8}",
            "step", "median ms", "90 % ms", "ratio"
        )?;
        for Row {
            step,
            milliseconds,
            ratios,
        } in &self.rows
        {
            let of = |share| quantile(milliseconds.iter().copied(), share);
            let ratio = median(ratios.iter().copied());
            writeln!(
                f,
                "{step:<38}{:>11.2}{:>11.2}{ratio:>8.3}",
                of(0.5),
                of(0.9)
            )?;
        }
        Ok(())
    }
}
