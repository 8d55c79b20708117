//! Restarting the box, and shutting it down, at once or at a chosen time.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use crate::agent::client::unexpected;
use crate::agent::command::{Answer, Command, PowerView, Refusal, Why};
use crate::power::Power as What;
use crate::web::Web;
use crate::web::page::{Page, moment, show as show_page};
use crate::web::pages::errors;
use crate::web::texts::Texts;
use crate::web::visitor::{Admin, Sent, Visitor};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/admin/power", get(show))
        .route("/admin/power/restart", post(restart))
        .route("/admin/power/shut-down", post(shut_down))
        .route("/admin/power/plan", post(plan))
        .route("/admin/power/cancel", post(cancel))
}

#[derive(Template)]
#[template(path = "power.html")]
struct Power {
    page: Page,
    fault: Option<String>,
    /// What is planned, in words.
    plan: Option<String>,
    /// What the box's clock says.
    clock: Option<String>,
}

/// While the box goes down.
#[derive(Template)]
#[template(path = "power_under_way.html")]
pub struct UnderWay {
    /// What every page has.
    pub page: Page,
    /// What happens.
    pub title: String,
    /// What to do meanwhile.
    pub text: String,
    /// Whether the box answers again afterwards.
    pub comes_back: bool,
}

async fn show(State(web): State<Arc<Web>>, Admin { visitor, .. }: Admin) -> Response {
    page(&web, &visitor, None).await
}

async fn view(web: &Web, visitor: &Visitor) -> Result<PowerView, Refusal> {
    match web.agent.ask(visitor.actor(), Command::PowerPlan).await? {
        Answer::PowerPlan(view) => Ok(view),
        other => Err(unexpected(&other)),
    }
}

/// The page, with what is wrong with a form.
async fn page(web: &Web, visitor: &Visitor, fault: Option<String>) -> Response {
    let view = match view(web, visitor).await {
        Ok(view) => view,
        Err(refusal) => return errors::agent(visitor, &refusal),
    };
    let t = visitor.t;
    let shown = Power {
        page: Page::of(visitor),
        fault,
        plan: sentence(t, &view),
        clock: view
            .clock
            .map(|clock| t.with("power-clock", &[("time", &clock)])),
    };
    show_page(t.0, &shown)
}

/// What is planned, in words.
fn sentence(t: Texts, view: &PowerView) -> Option<String> {
    let plan = view.plan.as_ref()?;
    let key = match plan.what {
        What::Restart => "power-planned-restart",
        What::ShutDown => "power-planned-shut-down",
    };
    let time = view.at.clone().unwrap_or_else(|| moment(plan.at));
    Some(t.with(key, &[("time", &time), ("who", &plan.who)]))
}

async fn plan(State(web): State<Arc<Web>>, Sent { by, fields }: Sent<Admin>) -> Response {
    let command = Command::PlanPower {
        what: match fields.get("what") {
            "shut-down" => What::ShutDown,
            _ => What::Restart,
        },
        at: fields.get("at").to_owned(),
    };
    give(&web, &by.visitor, command).await
}

async fn cancel(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    give(&web, &by.visitor, Command::CancelPower).await
}

async fn give(web: &Web, visitor: &Visitor, command: Command) -> Response {
    let Err(refusal) = web.agent.ask(visitor.actor(), command).await else {
        return Redirect::to("/admin/power").into_response();
    };
    let t = visitor.t;
    let fault = match refusal.why {
        Why::Invalid => t.m("power-plan-invalid"),
        _ => t.with("change-failed", &[("detail", &t.said(&refusal.text))]),
    };
    page(web, visitor, Some(fault)).await
}

async fn restart(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    go(&web, by, Command::Restart).await
}

async fn shut_down(State(web): State<Arc<Web>>, Sent { by, .. }: Sent<Admin>) -> Response {
    go(&web, by, Command::ShutDown).await
}

async fn go(web: &Web, by: Admin, command: Command) -> Response {
    let (visitor, t) = (by.visitor, by_texts(&command));
    if let Err(refusal) = web.agent.ask(visitor.actor(), command).await {
        return errors::agent(&visitor, &refusal);
    }
    let (title, text, comes_back) = t;
    let shown = UnderWay {
        page: Page::of(&visitor),
        title: visitor.t.m(title),
        text: visitor.t.m(text),
        comes_back,
    };
    show_page(visitor.t.0, &shown)
}

fn by_texts(command: &Command) -> (&'static str, &'static str, bool) {
    if *command == Command::Restart {
        ("power-restarting", "power-restarting-how", true)
    } else {
        ("power-shutting-down", "power-safe", false)
    }
}
