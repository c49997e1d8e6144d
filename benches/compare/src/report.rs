//! The table: medians of the repeats, their range, and the ratio to the best peer.
//!
//! - The ratio is better the larger it is, for rates and for times alike; the best peer's own is 1.
//! - A rate over time is drawn below the table, each line against its own highest, with the first
//!   repeat of each engine.
//! - "of probe" is the figure over the device's own rate just before, the median of the repeats.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::engines::EngineName;
use crate::measure::Unit;
use crate::runner::Outcome;

/// One engine's line for one measure.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What was measured.
    pub measure: String,
    /// The engine.
    pub engine: EngineName,
    /// The unit of the figures.
    pub unit: Unit,
    /// How many repeats there are.
    pub repeats: usize,
    /// The median of the repeats.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// How many times as good as the best peer, if a peer was measured.
    pub of_best_peer: Option<f64>,
    /// Processor time for each operation, in microseconds.
    pub processor_microseconds: f64,
    /// Bytes written for each operation.
    pub written_bytes: f64,
    /// Medians of the further figures.
    pub extra: BTreeMap<String, f64>,
    /// The first repeat's rate over time.
    pub series: Vec<f64>,
}

/// Summarises outcomes, measure by measure in the order they first appear.
pub fn lines(outcomes: &[Outcome], engines: &[EngineName]) -> Vec<Line> {
    let mut measures: Vec<&str> = Vec::new();
    for outcome in outcomes {
        if !measures.contains(&outcome.sample.measure.as_str()) {
            measures.push(&outcome.sample.measure);
        }
    }
    measures
        .into_iter()
        .flat_map(|measure| of_measure(outcomes, engines, measure))
        .collect()
}

fn of_measure(outcomes: &[Outcome], engines: &[EngineName], measure: &str) -> Vec<Line> {
    let one = |&engine: &EngineName| {
        let of = |o: &&Outcome| o.engine == engine && o.sample.measure == measure;
        line(&outcomes.iter().filter(of).collect::<Vec<_>>())
    };
    let mut lines: Vec<Line> = engines.iter().filter_map(one).collect();
    let goodness = |line: &Line| match line.unit.more_is_better() {
        true => line.median,
        false => 1.0 / line.median,
    };
    let peers = lines.iter().filter(|line| line.engine.is_peer());
    if let Some(best) = peers.map(goodness).max_by(f64::total_cmp) {
        for line in &mut lines {
            line.of_best_peer = Some(goodness(line) / best);
        }
    }
    lines
}

fn line(outcomes: &[&Outcome]) -> Option<Line> {
    let first = outcomes.first()?;
    let median_of = |figure: &dyn Fn(&Outcome) -> f64| {
        median(outcomes.iter().map(|outcome| figure(outcome)).collect())
    };
    let figures = || outcomes.iter().map(|outcome| outcome.sample.figure);
    let each = |total: f64, o: &Outcome| total / o.sample.operations.max(1) as f64;
    let mut extra: BTreeMap<String, f64> = BTreeMap::new();
    for name in first.sample.extra.keys() {
        let of = |o: &Outcome| o.sample.extra.get(name).copied().unwrap_or(f64::NAN);
        extra.insert(name.clone(), median_of(&of));
    }
    if first.sample.extra.contains_key("probe") {
        let part = |o: &Outcome| o.sample.figure / o.sample.extra.get("probe").unwrap_or(&f64::NAN);
        extra.insert("of probe".to_owned(), median_of(&part));
    }
    Some(Line {
        measure: first.sample.measure.clone(),
        engine: first.engine,
        unit: first.sample.unit,
        repeats: outcomes.len(),
        median: median(figures().collect()),
        min: figures().fold(f64::INFINITY, f64::min),
        max: figures().fold(f64::NEG_INFINITY, f64::max),
        of_best_peer: None,
        processor_microseconds: median_of(&|o| each(o.sample.processor_seconds * 1e6, o)),
        written_bytes: median_of(&|o| each(o.sample.written_bytes as f64, o)),
        extra,
        series: first.sample.series.clone(),
    })
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.is_empty() {
        f64::NAN
    } else if figures.len() % 2 == 1 {
        figures[middle]
    } else {
        f64::midpoint(figures[middle - 1], figures[middle])
    }
}

/// The lines as one Markdown table.
pub fn table(lines: &[Line]) -> String {
    let head = [
        "measure",
        "engine",
        "median",
        "min – max",
        "× best peer",
        "cpu µs/op",
        "bytes/op",
        "also",
    ];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    let mut measure = "";
    for line in lines {
        let named = if line.measure == measure {
            ""
        } else {
            &line.measure
        };
        measure = &line.measure;
        rows.push(cells(line, named));
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut table = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, &width) in row.iter().zip(&widths) {
            let _ = write!(table, "| {cell:width$} ");
        }
        table.push_str("|\n");
        if number == 0 {
            for &width in &widths {
                let _ = write!(table, "|{:-<1$}", "", width + 2);
            }
            table.push_str("|\n");
        }
    }
    table
}

/// The rates over time, a line of text each.
pub fn plots(lines: &[Line]) -> String {
    let mut plots = String::new();
    for line in lines.iter().filter(|line| !line.series.is_empty()) {
        let label = line.engine.label();
        let _ = writeln!(
            plots,
            "{}, {label}, up to {}/s:\n  {}",
            line.measure,
            scaled(line.series.iter().copied().fold(0.0, f64::max)),
            plot(&line.series)
        );
    }
    plots
}

/// A bar for each figure, or for the least of some neighbours, so that no dent is lost.
fn plot(series: &[f64]) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const WIDTH: usize = 100;
    let highest = series.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let least = |some: &[f64]| some.iter().copied().fold(f64::INFINITY, f64::min);
    let bar = |figure: f64| BARS[(figure / highest * (BARS.len() - 1) as f64).round() as usize];
    let step = series.len().div_ceil(WIDTH).max(1);
    series.chunks(step).map(|some| bar(least(some))).collect()
}

fn cells(line: &Line, measure: &str) -> Vec<String> {
    let also: Vec<String> = line
        .extra
        .iter()
        .filter(|(name, _)| *name != "resident KiB")
        .map(|(name, &figure)| match name.as_str() {
            name if name.ends_with("MiB") => format!("{name} {figure:.0}"),
            "alone" => format!("{figure:.2} of alone"),
            "fairness" | "retries/commit" => format!("{name} {figure:.2}"),
            name if ["of ", "× ", "µs "]
                .iter()
                .any(|&unit| name.starts_with(unit)) =>
            {
                format!("{figure:.2} {name}")
            }
            _ => format!("{name} {}", scaled(figure)),
        })
        .collect();
    vec![
        measure.to_owned(),
        line.engine.label().to_owned(),
        figure(line.unit, line.median),
        format!(
            "{} – {}",
            figure(line.unit, line.min),
            figure(line.unit, line.max)
        ),
        line.of_best_peer.map_or_else(|| "–".to_owned(), ratio),
        format!("{:.2}", line.processor_microseconds),
        format!("{:.0}", line.written_bytes),
        also.join(", "),
    ]
}

fn ratio(ratio: f64) -> String {
    if ratio < 0.01 {
        format!("{ratio:.0e}")
    } else {
        format!("{ratio:.2}")
    }
}

fn figure(unit: Unit, figure: f64) -> String {
    match unit {
        Unit::PerSecond => format!("{}/s", scaled(figure)),
        Unit::Milliseconds => format!("{figure:.2} ms"),
        Unit::Bytes => format!("{:.1} MiB", figure / (1 << 20) as f64),
        Unit::BytesPerByte => format!("{figure:.2} B/B"),
    }
}

fn scaled(figure: f64) -> String {
    match figure {
        f if f >= 1e6 => format!("{:.2} M", f / 1e6),
        f if f >= 1e4 => format!("{:.1} k", f / 1e3),
        f => format!("{f:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Sample;

    fn outcome(engine: EngineName, measure: &str, unit: Unit, figure: f64) -> Outcome {
        let sample = Sample {
            measure: measure.to_owned(),
            unit,
            figure,
            operations: 10,
            processor_seconds: 1e-3,
            written_bytes: 1000,
            extra: BTreeMap::new(),
            series: vec![figure],
        };
        Outcome { engine, sample }
    }

    #[test]
    fn the_best_peer_is_the_fastest_whether_rate_or_time() {
        let engines = [EngineName::Fjall, EngineName::Lmdb];
        let outcomes = [
            outcome(EngineName::Fjall, "a rate", Unit::PerSecond, 100.0),
            outcome(EngineName::Lmdb, "a rate", Unit::PerSecond, 200.0),
            outcome(EngineName::Fjall, "a time", Unit::Milliseconds, 1.0),
            outcome(EngineName::Lmdb, "a time", Unit::Milliseconds, 4.0),
        ];
        let ratios: Vec<_> = lines(&outcomes, &engines)
            .iter()
            .map(|l| l.of_best_peer)
            .collect();
        assert_eq!(ratios, [Some(0.5), Some(1.0), Some(1.0), Some(0.25)]);
    }

    #[test]
    fn medians_are_of_the_repeats_of_one_engine_and_measure() {
        let rate = |engine, figure| outcome(engine, "m", Unit::PerSecond, figure);
        let outcomes = [
            rate(EngineName::Fjall, 9.0),
            rate(EngineName::Fjall, 1.0),
            rate(EngineName::Lmdb, 500.0),
            rate(EngineName::Fjall, 3.0),
        ];
        let line = lines(&outcomes, &[EngineName::Fjall]).remove(0);
        assert_eq!(
            (line.median, line.min, line.max, line.repeats),
            (3.0, 1.0, 9.0, 3)
        );
        assert!((line.processor_microseconds - 100.0).abs() < 1e-9);
        assert!((line.written_bytes - 100.0).abs() < 1e-9);
    }

    #[test]
    fn fewer_bytes_are_better() {
        let engines = [EngineName::Fjall, EngineName::Lmdb];
        let outcomes = [
            outcome(EngineName::Fjall, "size", Unit::Bytes, 100.0),
            outcome(EngineName::Lmdb, "size", Unit::Bytes, 400.0),
        ];
        let lines = lines(&outcomes, &engines);
        let ratios: Vec<_> = lines.iter().map(|line| line.of_best_peer).collect();
        assert_eq!(ratios, [Some(1.0), Some(0.25)]);
    }

    #[test]
    fn a_plot_keeps_its_dents() {
        let mut series = vec![8.0; 1000];
        series[777] = 1.0;
        let drawn = plot(&series);
        assert_eq!(drawn.chars().count(), 100);
        assert_eq!(drawn.chars().filter(|&bar| bar == '▁').count(), 1);
        assert_eq!(drawn.chars().filter(|&bar| bar == '█').count(), 99);
    }

    #[test]
    fn every_row_of_the_table_has_the_same_width() {
        let outcomes = [
            outcome(EngineName::Fjall, "a", Unit::PerSecond, 123_456.0),
            outcome(EngineName::Lmdb, "a longer name", Unit::Milliseconds, 0.15),
        ];
        let text = table(&lines(&outcomes, &[EngineName::Fjall, EngineName::Lmdb]));
        let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths.len(), 4);
        assert!(widths.iter().all(|&width| width == widths[0]), "{text}");
    }
}
