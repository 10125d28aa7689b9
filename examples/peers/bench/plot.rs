//! The plots, as SVG.

use std::fs;
use std::path::Path;

use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

use crate::cold::{Cold, Start};
use crate::hits::Hits;
use crate::rotation::{Outcome, Rotations};
use crate::stats::time;

/// A name, and what is drawn of it.
type Line = (String, Vec<(f64, f64)>);

pub(crate) fn write(
    folder: &Path,
    threads: &[(usize, Hits)],
    rotations: &Rotations,
    cold: &Cold,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for (file, outcome, what) in [
        ("rotation-ok.svg", Outcome::Success, "answers after 200 ms"),
        ("rotation-failed.svg", Outcome::Failure, "fails after 200 ms"),
    ] {
        let lines: Vec<_> =
            rotations.of(outcome).map(|rotation| (rotation.name.to_owned(), rotation.timeline().collect())).collect();
        let title = format!("The slowest of 64 readers, while the source {what}");
        draw(&folder.join(file), &title, "ms since the token was due", &lines, |ms| format!("{ms:.0}"), false)?;
    }
    let names =
        ["token-cache", "static", "seed", "object_store", "AWS SDK, identity cache", "google-cloud-auth", "moka"];
    let line = |name: &&str| {
        let at = |(threads, hits): &(usize, Hits)| Some((*threads as f64, hits.spread(name, *threads)?.median));
        ((*name).to_owned(), threads.iter().filter_map(at).collect())
    };
    let lines: Vec<_> = names.iter().map(line).collect();
    let title = "A hit, by threads that read at once (two cores; time of a core)";
    draw(&folder.join("threads.svg"), title, "threads", &lines, |threads| format!("{threads:.0}"), true)?;
    let line = |name: &str, of: fn(&Start) -> f64| {
        (name.to_owned(), cold.0.iter().map(|start| (start.waiters as f64, of(start))).collect())
    };
    let lines = [line("token-cache", |start| start.wake.median), line("a bare watch", |start| start.bare.median)];
    let title = "A cold start: from the answer to the last waiter's wake";
    draw(&folder.join("waiters.svg"), title, "waiters", &lines, |waiters| format!("{waiters:.0}"), true)
}

/// Time on a logarithmic axis.
fn draw(
    file: &Path,
    title: &str,
    of: &str,
    lines: &[Line],
    label: fn(&f64) -> String,
    log: bool,
) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let (left, right) = points().fold((f64::MAX, f64::MIN), |(low, high), (x, _)| (low.min(*x), high.max(*x)));
    let (low, high) = points().fold((f64::MAX, f64::MIN), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
    // Room for the legend.
    let heights = (low / 2.0..high * 8.0).log_scale();
    let root = SVGBackend::new(file, (860, 440)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut builder = ChartBuilder::on(&root);
    builder.caption(title, ("sans-serif", 18)).margin(10).margin_right(30).x_label_area_size(40).y_label_area_size(70);
    if log {
        plot(builder.build_cartesian_2d((left..right).log_scale(), heights)?, of, lines, label)?;
    } else {
        plot(builder.build_cartesian_2d(left..right, heights)?, of, lines, label)?;
    }
    root.present()?;
    Ok(())
}

fn plot<'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    of: &str,
    lines: &[Line],
    label: fn(&f64) -> String,
) -> anyhow::Result<()>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(of)
        .x_label_formatter(&label)
        .y_label_formatter(&|ns| time(*ns))
        .light_line_style(BLACK.mix(0.05))
        .draw()?;
    for (number, (name, points)) in lines.iter().enumerate() {
        // Our own stands out.
        let style = Palette99::pick(number).stroke_width(if number == 0 { 3 } else { 1 });
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(())
}
