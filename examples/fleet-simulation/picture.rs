//! The calls of a fleet without jitter and with it, as an SVG file.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use plotters::prelude::*;

use crate::fleet::Fleet;
use crate::sessions::Sessions;

pub(crate) fn draw(file: &Path, seed: u64) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(file, (860, 440)).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = [("without jitter", Some(0.0), RGBColor(200, 80, 60)), ("by default", None, RGBColor(30, 110, 180))];
    for (area, (name, jitter, color)) in root.split_evenly((2, 1)).iter().zip(panels) {
        let sessions = Sessions { jitter, ..Sessions::ALL[1] };
        let rates = calls_per_second(Fleet { sessions, caches: CACHES, seed });
        let highest = rates.iter().copied().fold(0.0, f64::max);
        // The first minute is the start: all caches are empty.
        let later = rates.iter().skip(1).copied().fold(0.0, f64::max);
        println!("{name}: at most {later:.0} calls per second after the start");
        let mut chart = ChartBuilder::on(area)
            .caption(
                format!("100,000 caches that start within a minute, {name}: then at most {later:.0} per second"),
                ("sans-serif", 16),
            )
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..HOURS as f64, 0.0..highest * 1.1)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().light_line_style(WHITE);
        mesh.x_desc("hours; a session lives for one, and is due after three quarters")
            .y_desc("calls per second")
            .y_label_formatter(&|rate| format!("{rate:.0}"))
            .draw()?;
        let bar = |(minute, rate)| Rectangle::new([(hours(minute), 0.0), (hours(minute + 1), rate)], color.filled());
        chart.draw_series(rates.into_iter().enumerate().filter(|&(_, rate)| rate > 0.0).map(bar))?;
    }
    root.present()?;
    Ok(())
}

/// The mean of each minute.
fn calls_per_second(fleet: Fleet) -> Vec<f64> {
    let mut calls = vec![0_u32; HOURS * 60];
    fleet.simulate(&[], Duration::from_secs(HOURS as u64 * 3600), |call| calls[call.time.as_secs() as usize / 60] += 1);
    calls.into_iter().map(|calls| f64::from(calls) / 60.0).collect()
}

fn hours(minutes: usize) -> f64 {
    minutes as f64 / 60.0
}

const CACHES: u32 = 100_000;
const HOURS: usize = 8;
