//! The wizard: from a box that nobody has claimed to one with people on it.

mod administrator;
mod name;
mod people;
mod time;
mod trust;
mod welcome;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::web::Web;
use crate::web::texts::Texts;
use crate::web::visitor::Visitor;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/setup", get(welcome::show).post(welcome::claim))
        .route(
            "/setup/administrator",
            get(administrator::show).post(administrator::make),
        )
        .route("/setup/name", get(name::show).post(name::set))
        .route("/setup/resume", get(name::resume))
        .route("/setup/time", get(time::show).post(time::set))
        .route("/setup/trust", get(trust::show))
        .route("/setup/people", get(people::show).post(people::invite))
        .route("/setup/done", get(people::done).post(people::finish))
}

/// The steps, in their order: path and title.
const STEPS: [(&str, &str); 6] = [
    ("/setup", "setup-step-welcome"),
    ("/setup/administrator", "setup-step-administrator"),
    ("/setup/name", "setup-step-name"),
    ("/setup/time", "setup-step-time"),
    ("/setup/trust", "setup-step-trust"),
    ("/setup/people", "setup-step-people"),
];

/// A page of the wizard. Templates know it as `wizard`.
struct Wizard {
    t: Texts,
    at: usize,
}

/// A step as the list of steps shows it.
struct StepView {
    number: usize,
    title: String,
    is_done: bool,
    is_current: bool,
}

impl Wizard {
    fn at(visitor: &Visitor, path: &str) -> Self {
        let at = STEPS.iter().position(|(step, _)| *step == path);
        Self {
            t: visitor.t,
            at: at.unwrap_or_default(),
        }
    }

    fn steps(&self) -> Vec<StepView> {
        let steps = STEPS
            .iter()
            .enumerate()
            .map(|(index, (_, title))| StepView {
                number: index + 1,
                title: self.t.m(title),
                is_done: index < self.at,
                is_current: index == self.at,
            });
        steps.collect()
    }

    fn progress(&self) -> String {
        let (at, of) = ((self.at + 1).to_string(), STEPS.len().to_string());
        self.t.with("setup-progress", &[("at", &at), ("of", &of)])
    }
}
