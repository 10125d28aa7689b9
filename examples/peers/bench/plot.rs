//! The plots of `docs/performance.md`, as SVG files.

use std::fs;
use std::path::Path;

use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

use crate::cold_start::{ColdStart, ColdStarts};
use crate::format::format_ns;
use crate::hits::Hits;
use crate::rotation::{RefreshResult, Rotations};

/// A label and the points of its line.
type Line = (String, Vec<(f64, f64)>);

pub(crate) fn write(
    directory: &Path,
    by_threads: &[(usize, Hits)],
    rotations: &Rotations,
    cold_starts: &ColdStarts,
) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    for (file, result, what) in [
        ("rotation-ok.svg", RefreshResult::Success, "answers after 200 ms"),
        ("rotation-failed.svg", RefreshResult::Failure, "fails after 200 ms"),
    ] {
        let rotations = rotations.with_result(result);
        let lines: Vec<_> =
            rotations.map(|rotation| (rotation.name.to_owned(), rotation.timeline().collect())).collect();
        let title = format!("The slowest read of 64 readers, while the source {what}");
        draw(&directory.join(file), &title, "ms since the refresh was due", &lines, Scale::Linear)?;
    }
    let names = [
        "token-cache",
        "static",
        "hand-written",
        "object_store",
        "AWS SDK, identity cache",
        "google-cloud-auth",
        "moka",
    ];
    let line = |name: &&str| {
        let point = |(threads, hits): &(usize, Hits)| Some((*threads as f64, hits.time(name, *threads)?.median));
        ((*name).to_owned(), by_threads.iter().filter_map(point).collect())
    };
    let lines: Vec<_> = names.iter().map(line).collect();
    let title = "A hit, by the number of threads that read at the same time (2 cores; time of a core)";
    draw(&directory.join("threads.svg"), title, "threads", &lines, Scale::Logarithmic)?;
    let line = |name: &str, median: fn(&ColdStart) -> f64| {
        (name.to_owned(), cold_starts.0.iter().map(|start| (start.waiters as f64, median(start))).collect())
    };
    let lines =
        [line("token-cache", |start| start.cache.median), line("tokio::sync::watch", |start| start.watch.median)];
    let title = "A cold start, from the source's answer to the wake of the last waiter";
    draw(&directory.join("waiters.svg"), title, "waiters", &lines, Scale::Logarithmic)
}

/// The scale of the horizontal axis.
#[derive(Clone, Copy, Debug)]
enum Scale {
    Linear,
    Logarithmic,
}

/// Draws times on a logarithmic vertical axis.
fn draw(file: &Path, title: &str, axis: &str, lines: &[Line], scale: Scale) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let (left, right) = points().fold((f64::MAX, f64::MIN), |(low, high), (x, _)| (low.min(*x), high.max(*x)));
    let (low, high) = points().fold((f64::MAX, f64::MIN), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
    let heights = (low / 2.0..high * 2.0).log_scale();
    let root = SVGBackend::new(file, (860, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let (chart, legend) = root.split_vertically(430);
    let mut builder = ChartBuilder::on(&chart);
    builder.caption(title, ("sans-serif", 18)).margin(10).margin_right(30).x_label_area_size(40).y_label_area_size(70);
    match scale {
        Scale::Linear => plot(builder.build_cartesian_2d(left..right, heights)?, axis, lines)?,
        Scale::Logarithmic => plot(builder.build_cartesian_2d((left..right).log_scale(), heights)?, axis, lines)?,
    }
    // Below the chart, so that it covers no line.
    for (number, (name, _)) in lines.iter().enumerate() {
        let (x, y) = (80 + 195 * (number as i32 % LEGENDS_IN_ROW), 8 + 20 * (number as i32 / LEGENDS_IN_ROW));
        legend.draw(&PathElement::new([(x, y), (x + 18, y)], style(number)))?;
        legend.draw(&Text::new(name.as_str(), (x + 24, y - 6), ("sans-serif", 13)))?;
    }
    root.present()?;
    Ok(())
}

/// token-cache comes first, with a thicker line.
fn style(number: usize) -> ShapeStyle {
    Palette99::pick(number).stroke_width(if number == 0 { 3 } else { 1 })
}

fn plot<'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    axis: &str,
    lines: &[Line],
) -> anyhow::Result<()>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(axis)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|ns| format_ns(*ns))
        .light_line_style(BLACK.mix(0.05))
        .draw()?;
    for (number, (_, points)) in lines.iter().enumerate() {
        chart.draw_series(LineSeries::new(points.iter().copied(), style(number)))?;
    }
    Ok(())
}

const LEGENDS_IN_ROW: i32 = 4;
