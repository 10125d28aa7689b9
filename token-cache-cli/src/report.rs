//! [`Report`]: what the doctor has found.

use std::fmt::Write;

use serde::Serialize;

#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) sections: Vec<Section>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) state: State,
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It is there and works, as far as it was tried.
    Found,
    /// It is not configured, which is no problem.
    NotSet,
    /// It is configured, and does not work.
    Problem,
    /// Something to know.
    Info,
}

impl Section {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, checks: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &'static str, state: State, text: impl Into<String>) {
        self.checks.push(Check { name, state, text: text.into() });
    }
}

impl Report {
    pub(crate) fn has_problem(&self) -> bool {
        self.sections.iter().flat_map(|section| &section.checks).any(|check| check.state == State::Problem)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn to_table(&self, with_color: bool) -> String {
        let checks = || self.sections.iter().flat_map(|section| &section.checks);
        let width = checks().map(|check| check.name.len()).max().unwrap_or_default();
        let mut table = String::new();
        for section in &self.sections {
            // Writing to a string does not fail.
            let _ = writeln!(table, "{}", section.name);
            for check in &section.checks {
                let (mark, color) = match check.state {
                    State::Found => ("ok", "32"),
                    State::NotSet => ("-", "2"),
                    State::Problem => ("!!", "31"),
                    State::Info => ("i", "36"),
                };
                let mark = format!("{mark:>2}");
                let mark = if with_color { format!("\x1b[{color}m{mark}\x1b[0m") } else { mark };
                let _ = writeln!(table, "  {mark}  {:width$}  {}", check.name, check.text);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_per_check_and_color_on_demand() {
        let mut section = Section::new("AWS");
        section.add("environment", State::NotSet, "AWS_ACCESS_KEY_ID is not set");
        section.add("credentials", State::Problem, "none");
        let report = Report { sections: vec![section] };
        assert_eq!(
            report.to_table(false),
            "AWS\n   -  environment  AWS_ACCESS_KEY_ID is not set\n  !!  credentials  none\n"
        );
        assert!(report.to_table(true).contains("\x1b[31m!!\x1b[0m"));
        assert!(report.has_problem());
    }
}
