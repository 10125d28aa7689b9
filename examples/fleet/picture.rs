//! The calls of the issuer per second, without a store and with one, as an SVG file.

use std::path::PathBuf;
use std::time::Duration;

use plotters::prelude::*;
use token_cache_core::{BoxError, Clock, SystemClock};

use crate::issuer::Issuer;
use crate::processes::{Child, reports};
use crate::stores::{Kind, SharedStore};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The file to write.
    file: PathBuf,
    #[arg(long, default_value_t = 100)]
    processes: usize,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), BoxError> {
    let without = calls_per_second(Kind::None, arguments.processes).await?;
    let with = calls_per_second(Kind::Redis, arguments.processes).await?;
    let panels = [
        ("each for itself", without, RGBColor(200, 80, 60)),
        ("with token-cache-fleet over Redis", with, RGBColor(30, 110, 180)),
    ];
    let highest = panels.iter().flat_map(|(_, calls, _)| calls).max().copied().unwrap_or(1);
    let root = SVGBackend::new(&arguments.file, (860, 440)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (title, calls, color)) in root.split_evenly((2, 1)).iter().zip(panels) {
        let sum: u32 = calls.iter().sum();
        let caption = format!("{} processes, {title}: {sum} calls in {DURATION} s", arguments.processes);
        let mut chart = ChartBuilder::on(area)
            .caption(caption, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(50)
            .build_cartesian_2d(0..u32::try_from(DURATION)?, 0..highest + highest / 10 + 1)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().light_line_style(WHITE).x_desc("seconds; a token lives for 10, and is due after 5");
        mesh.y_desc("calls per second").draw()?;
        let bars = calls.iter().enumerate().map(|(second, calls)| {
            let second = second as u32;
            Rectangle::new([(second, 0), (second + 1, *calls)], color.filled())
        });
        chart.draw_series(bars)?;
        println!("{title}: {sum} calls, at most {} in a second", calls.iter().max().unwrap_or(&0));
    }
    root.present()?;
    Ok(())
}

async fn calls_per_second(kind: Kind, processes: usize) -> Result<Vec<u32>, BoxError> {
    let store = SharedStore::start(kind).await?;
    let lifetime = Duration::from_secs(10);
    let issuer = Issuer::start(lifetime, Duration::from_millis(100)).await?;
    let start = SystemClock::new().now().monotonic();
    let child = Child::new(&store.address, issuer.port, lifetime / 2, Duration::from_secs(DURATION));
    let children = (0..processes).map(|_| child.spawn()).collect::<Result<Vec<_>, _>>()?;
    let reports = reports(children).await?;
    if reports.errors > 0 {
        return Err(format!("{} reads failed: {}", reports.errors, reports.error.unwrap_or_default()).into());
    }
    let mut calls = vec![0; usize::try_from(DURATION)?];
    for call in issuer.calls() {
        if let Some(second) = calls.get_mut(usize::try_from((call - start).as_secs())?) {
            *second += 1;
        }
    }
    Ok(calls)
}

/// In seconds.
const DURATION: u64 = 40;
