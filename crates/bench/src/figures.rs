//! What came out: figures with their spread, each beside something else.

use std::time::Duration;

use serde::Serialize;

/// What one benchmark found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Its name on the command line.
    pub(crate) benchmark: &'static str,
    /// What was measured, in a sentence.
    pub(crate) what: String,
    /// The figures, in their order.
    pub(crate) figures: Vec<Figure>,
}

/// One figure over several runs.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    what: String,
    unit: &'static str,
    spread: Spread,
    beside: Option<Beside>,
}

/// What was measured in the same runs.
#[derive(Debug, Serialize)]
pub(crate) struct Beside {
    what: String,
    spread: Spread,
    /// The figure in multiples of it, run by run.
    ratio: Spread,
}

/// How far the runs lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Report {
    pub(crate) const fn new(benchmark: &'static str, what: String) -> Self {
        Self { benchmark, what, figures: Vec::new() }
    }

    /// A figure with nothing beside it: a count.
    pub(crate) fn add(&mut self, what: impl Into<String>, unit: &'static str, runs: &[f64]) {
        let figure = Figure { what: what.into(), unit, spread: Spread::of(runs), beside: None };
        self.figures.push(figure);
    }

    /// A figure, and what was measured in the same runs.
    pub(crate) fn add_beside(
        &mut self,
        (what, runs): (impl Into<String>, &[f64]),
        unit: &'static str,
        (other, beside): (impl Into<String>, &[f64]),
    ) {
        let ratios: Vec<f64> = runs.iter().zip(beside).map(|(run, other)| run / other).collect();
        let beside =
            Beside { what: other.into(), spread: Spread::of(beside), ratio: Spread::of(&ratios) };
        let figure =
            Figure { what: what.into(), unit, spread: Spread::of(runs), beside: Some(beside) };
        self.figures.push(figure);
    }
}

impl Figure {
    /// The figure's cells: what, unit, the spread, and what is beside it.
    pub(crate) fn cells(&self) -> [String; 6] {
        let beside = self.beside.as_ref();
        [
            self.what.clone(),
            self.unit.to_owned(),
            self.spread.to_string(),
            beside.map(|beside| beside.what.clone()).unwrap_or_default(),
            beside.map(|beside| beside.spread.to_string()).unwrap_or_default(),
            beside.map(|beside| beside.ratio.to_string()).unwrap_or_default(),
        ]
    }
}

impl Spread {
    pub(crate) fn of(runs: &[f64]) -> Self {
        Self { min: at(runs, 0.0), median: at(runs, 0.5), max: at(runs, 1.0) }
    }
}

/// Median, and in parentheses the least and the most, if they differ from it.
impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { min, median, max } = self;
        let (least, middle, most) = (short(*min), short(*median), short(*max));
        if least == most { f.write_str(&middle) } else { write!(f, "{middle} ({least}–{most})") }
    }
}

/// The value below which `share` of `values` lie: 0.5 is the median. Not a number if there are none.
pub(crate) fn at(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list is small and not negative"
    )]
    let place = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// Milliseconds, with their fractions.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// As many digits as are worth reading.
fn short(number: f64) -> String {
    match number.abs() {
        whole if whole >= 100.0 || whole.fract() == 0.0 => grouped(number),
        ones if ones >= 10.0 => format!("{number:.1}"),
        tenths if tenths >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// Thousands apart.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", &*digits), |digits| ("-", digits));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_least_the_middle_and_the_most() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]);
        assert_eq!(spread, Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert!(Spread::of(&[]).median.is_nan());
    }

    #[test]
    fn a_ratio_is_taken_run_by_run() {
        let mut report = Report::new("x", String::new());
        report.add_beside(("a", &[2.0, 30.0]), "ms", ("b", &[1.0, 10.0]));
        let ratio = report.figures[0].beside.as_ref().unwrap().ratio;
        assert_eq!((ratio.min, ratio.max), (2.0, 3.0));
    }

    #[test]
    fn numbers_have_the_digits_that_are_worth_reading() {
        for (number, text) in [
            (0.001_26, "0.001"),
            (1.0, "1"),
            (1.257, "1.26"),
            (12.57, "12.6"),
            (-1_234_567.8, "-1,234,568"),
            (999.0, "999"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
