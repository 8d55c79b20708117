//! The few routes of imd's admin API that the pages of these tests use. The scenario `web` has a real one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Part, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::UnixListener;

#[derive(Clone)]
pub struct Account {
    pub password: String,
    pub role: String,
}

#[derive(Clone, Default)]
pub struct FakeImd {
    pub accounts: Arc<Mutex<BTreeMap<String, Account>>>,
    pub invitations: Arc<Mutex<Vec<Value>>>,
}

fn person(name: &str, account: &Account) -> Value {
    json!({
        "username": name, "jid": format!("{name}@perch.local"), "role": account.role, "enabled": true,
        "display_name": null, "created_at": "2026-12-01T12:00:00Z", "groups": [], "sessions": 0,
    })
}

fn refuse(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({ "detail": detail }))).into_response()
}

impl FakeImd {
    pub fn start(socket: &Path) -> Self {
        let imd = Self::default();
        let routes = Router::new()
            .route("/people", post(add))
            .route("/people/{name}", get(show))
            .route("/people/{name}/login", post(login))
            .route("/invitations", post(invite))
            .route("/pulse", get(pulse))
            .route("/statistics", get(statistics))
            .with_state(imd.clone());
        let listener = UnixListener::bind(socket).unwrap();
        tokio::spawn(axum::serve(listener, Router::new().nest("/api/v1", routes)).into_future());
        imd
    }

    pub fn add(&self, name: &str, password: &str, role: &str) {
        let (password, role) = (password.to_owned(), role.to_owned());
        self.accounts
            .lock()
            .unwrap()
            .insert(name.to_owned(), Account { password, role });
    }
}

async fn add(State(imd): State<FakeImd>, Json(new): Json<Value>) -> Response {
    let text = |key: &str| new[key].as_str().unwrap_or_default().to_owned();
    let name = text("username");
    if imd.accounts.lock().unwrap().contains_key(&name) {
        return refuse(StatusCode::CONFLICT, "exists");
    }
    imd.add(&name, &text("password"), &text("role"));
    show(State(imd), Part(name)).await
}

async fn show(State(imd): State<FakeImd>, Part(name): Part<String>) -> Response {
    match imd.accounts.lock().unwrap().get(&name) {
        Some(account) => Json(person(&name, account)).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "no such account"),
    }
}

async fn login(
    State(imd): State<FakeImd>,
    Part(name): Part<String>,
    Json(login): Json<Value>,
) -> Response {
    match imd.accounts.lock().unwrap().get(&name) {
        Some(account) if login["password"] == account.password.as_str() => {
            Json(person(&name, account)).into_response()
        }
        _ => refuse(StatusCode::FORBIDDEN, "not the password"),
    }
}

async fn invite(State(imd): State<FakeImd>, Json(new): Json<Value>) -> Response {
    imd.invitations.lock().unwrap().push(new.clone());
    Json(json!({
        "token": "t", "kind": "account", "url": "https://perch.local/invite/t", "username": null, "role": "member",
        "groups": [], "expires_at": null, "uses_left": new["uses"], "usable": true, "note": null,
    }))
    .into_response()
}

async fn pulse() -> Response {
    Json(json!({ "people_online": 3, "sessions": 4, "messages": 70, "uptime_seconds": 5 }))
        .into_response()
}

async fn statistics() -> Response {
    Json(json!({ "people": 12, "people_online": 3, "rooms": 2 })).into_response()
}
