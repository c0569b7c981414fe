//! Measuring two things in turns.
//!
//! A shared machine is faster in one second than in the next; two figures taken
//! one after the other differ by that alone. Taken in turns, both see the same
//! machine, and what is left in the median is the difference itself.

use std::fmt;
use std::time::Duration;

/// Two things measured in turns, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// Median of ours.
    pub ours: f64,
    /// Median of the peer.
    pub peer: f64,
    /// Median of `ours - peer` of neighbours.
    pub difference: f64,
    /// Median of `ours / peer` of neighbours.
    pub ratio: f64,
}

/// Measures `ours` and `peer` in turns, `rounds` times. Each returns the time of
/// what it did; who comes first changes from round to round.
pub fn measure(
    rounds: usize,
    mut ours: impl FnMut() -> Duration,
    mut peer: impl FnMut() -> Duration,
) -> Paired {
    let pairs: Vec<(Duration, Duration)> = (0..rounds)
        .map(|round| {
            if round % 2 == 0 {
                let ours = ours();
                (ours, peer())
            } else {
                let peer = peer();
                (ours(), peer)
            }
        })
        .collect();
    of_pairs(&pairs)
}

/// The figures of pairs (ours, peer) that were measured elsewhere.
pub fn of_pairs(pairs: &[(Duration, Duration)]) -> Paired {
    let nanoseconds = |time: Duration| time.as_nanos() as f64;
    let of = |figure: fn(f64, f64) -> f64| {
        median(
            pairs
                .iter()
                .map(|(ours, peer)| figure(nanoseconds(*ours), nanoseconds(*peer))),
        )
    };
    Paired {
        ours: of(|ours, _| ours),
        peer: of(|_, peer| peer),
        difference: of(|ours, peer| ours - peer),
        ratio: of(|ours, peer| ours / peer),
    }
}

impl Paired {
    /// The figures for one of `count` repetitions within each measurement.
    pub fn each(self, count: u32) -> Self {
        let count = f64::from(count);
        Self {
            ours: self.ours / count,
            peer: self.peer / count,
            difference: self.difference / count,
            ratio: self.ratio,
        }
    }
}

impl fmt::Display for Paired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ours,
            peer,
            difference,
            ratio,
        } = *self;
        write!(
            f,
            "{}, peer {}, difference {}, ratio {ratio:.4}",
            Nanoseconds(ours),
            Nanoseconds(peer),
            Nanoseconds(difference)
        )
    }
}

/// Shows a time in the unit that suits it.
struct Nanoseconds(f64);

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            size if size < 1e3 => write!(f, "{:.2} ns", self.0),
            size if size < 1e6 => write!(f, "{:.2} us", self.0 / 1e3),
            _ => write!(f, "{:.2} ms", self.0 / 1e6),
        }
    }
}

/// The middle of `values`; not a number if there are none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value below which `share` (0 to 1) of `values` lie; not a number if there
/// are none.
pub fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    values
        .get((last * share).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_moves_nothing() {
        let micros = Duration::from_micros;
        let pairs = [
            (micros(30), micros(10)),
            (micros(31), micros(10)),
            (micros(9000), micros(10)),
        ];
        let paired = of_pairs(&pairs);
        assert_eq!((paired.ours, paired.ratio), (31_000.0, 3.1));
        assert!((paired.each(10).difference - 2_100.0).abs() < 1e-9);
        assert!(median([]).is_nan());
    }

    #[test]
    fn both_take_turns() {
        let turns = std::cell::RefCell::new(String::new());
        let turn = |who: char| {
            turns.borrow_mut().push(who);
            Duration::from_nanos(1)
        };
        measure(2, || turn('a'), || turn('b'));
        assert_eq!(*turns.borrow(), "abba");
    }
}
