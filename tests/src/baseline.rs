//! What a suite of somebody else's tests is known to find, and what a run found: a pass that is lost, or one that nobody
//! has written down, is an error.
//!
//! Both are lines of outcome, name and reason between tabs. In the baseline lines that begin with `#` are notes.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Otherwise.
    Failed,
    /// It tests what the server does not offer.
    NotApplicable,
    /// It passes or fails by chance, by a mistake of its own. Only a baseline says so.
    Varies,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotApplicable => "not-applicable",
            Self::Varies => "varies",
        })
    }
}

/// The outcome and the reason of each test, by its name.
pub type Outcomes = BTreeMap<String, (Outcome, String)>;

/// Reads lines of outcomes.
///
/// # Errors
///
/// A line is none, has no reason where one is needed, or names a test for the second time: the error has its number.
pub fn parse(text: &str) -> Result<Outcomes> {
    let mut outcomes = Outcomes::new();
    let lines = (1..).zip(text.lines());
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let mut fields = line.splitn(3, '\t');
        let outcome = match fields.next() {
            Some("passed") => Outcome::Passed,
            Some("failed") => Outcome::Failed,
            Some("not-applicable") => Outcome::NotApplicable,
            Some("varies") => Outcome::Varies,
            other => bail!(
                "line {number}: the outcome is {}; accepted: passed, failed, not-applicable, varies",
                other.unwrap_or_default()
            ),
        };
        let name = fields.next().context("a name after the outcome");
        let name = name.with_context(|| format!("line {number}"))?;
        let reason = fields.next().unwrap_or_default().trim();
        ensure!(
            outcome == Outcome::Passed || !reason.is_empty(),
            "line {number}: {name} has not passed and has no reason"
        );
        let known = outcomes.insert(name.to_owned(), (outcome, reason.to_owned()));
        ensure!(known.is_none(), "line {number}: {name} is there twice");
    }
    Ok(outcomes)
}

/// What differs between the baseline and a run, one sentence each.
#[must_use]
pub fn differences(baseline: &Outcomes, found: &Outcomes) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, (outcome, reason)) in found {
        match baseline.get(name) {
            None => differences.push(format!("new: {outcome} {name}: {reason}")),
            Some((known, _)) if known != outcome && *known != Outcome::Varies => {
                let lost = *known == Outcome::Passed;
                let what = if lost { "lost" } else { "to be recorded" };
                differences.push(format!(
                    "{what}: {name} was {known}, now {outcome}: {reason}"
                ));
            }
            Some(_) => {}
        }
    }
    for name in baseline.keys().filter(|name| !found.contains_key(*name)) {
        differences.push(format!("missing: {name} was not run"));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASELINE: &str = "# a note\npassed\tA\nfailed\tB\tits own mistake\nnot-applicable\tC\tno such feature\nvaries\tE\tchance\n";

    fn differing(found: &str) -> Vec<String> {
        differences(&parse(BASELINE).unwrap(), &parse(found).unwrap())
    }

    #[test]
    fn a_run_like_the_baseline_differs_in_nothing_whatever_the_reasons() {
        for chance in ["passed\tE\n", "failed\tE\tx\n"] {
            let found = "passed\tA\t\nfailed\tB\tanother reason\nnot-applicable\tC\tx\n";
            assert_eq!(differing(&format!("{found}{chance}")), [""; 0]);
        }
    }

    #[test]
    fn lost_passes_new_passes_new_tests_and_missing_tests_are_told() {
        let found = "failed\tA\ttime-out\npassed\tB\nnot-applicable\tD\ty\n";
        let expected = [
            "lost: A was passed, now failed: time-out",
            "to be recorded: B was failed, now passed: ",
            "new: not-applicable D: y",
            "missing: C was not run",
            "missing: E was not run",
        ];
        assert_eq!(differing(found), expected);
    }

    #[test]
    fn lines_that_say_too_little_are_refused_by_number() {
        for (text, complaint) in [
            (
                "passed\tA\nfailed\tB",
                "line 2: B has not passed and has no reason",
            ),
            ("ok\tA", "line 1: the outcome is ok"),
            ("passed", "line 1"),
            ("passed\tA\npassed\tA", "line 2: A is there twice"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.starts_with(complaint), "{error}");
        }
    }
}
