//! The few routes of imd's admin API that the pages of these tests use, and whatever a test wants answered besides. The scenario
//! `web` has a real one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Part, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
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
    answers: Arc<Mutex<BTreeMap<String, Value>>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

/// The longest body of these tests.
const LONGEST: usize = 1 << 20;

pub fn person(name: &str, account: &Account) -> Value {
    json!({
        "username": name, "jid": format!("{name}@perch.local"), "role": account.role, "enabled": true,
        "display_name": null, "created_at": "2026-12-01T12:00:00Z", "groups": [], "sessions": 0,
    })
}

/// As it is on a box with this account.
pub fn member(name: &str) -> Value {
    let account = Account {
        password: String::new(),
        role: "member".to_owned(),
    };
    person(name, &account)
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
            .route("/people/{name}/devices", get(nothing))
            .route("/groups", get(nothing))
            .route("/people/{name}/login", post(login))
            .route("/invitations", post(invite))
            .route("/pulse", get(pulse))
            .route("/statistics", get(statistics))
            .with_state(imd.clone())
            .fallback(|| async { refuse(StatusCode::NOT_FOUND, "there is no such thing") })
            .layer(from_fn_with_state(imd.clone(), first));
        let listener = UnixListener::bind(socket).unwrap();
        tokio::spawn(axum::serve(listener, Router::new().nest("/api/v1", routes)).into_future());
        imd
    }

    /// What is answered to a request, such as `GET /groups`, or `GET /people?after=x` with one query alone.
    pub fn answer(&self, request: &str, answer: Value) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(request.to_owned(), answer);
    }

    /// The bodies that came with such requests, which change something.
    pub fn asked(&self, request: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        let of = asked.iter().filter(|(known, _)| known == request);
        of.map(|(_, body)| body.clone()).collect()
    }

    /// All requests that change something.
    pub fn changes(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(request, _)| request.clone()).collect()
    }

    pub fn add(&self, name: &str, password: &str, role: &str) {
        let (password, role) = (password.to_owned(), role.to_owned());
        self.accounts
            .lock()
            .unwrap()
            .insert(name.to_owned(), Account { password, role });
    }
}

/// Remembers what changes something, and gives what a test wants answered.
async fn first(State(imd): State<FakeImd>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LONGEST).await.unwrap();
    let path = head.uri.path().trim_start_matches("/api/v1");
    let plain = format!("{} {path}", head.method);
    let whole = head.uri.query().map(|query| format!("{plain}?{query}"));
    if head.method != Method::GET {
        let text = String::from_utf8(body.to_vec()).unwrap();
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        imd.asked.lock().unwrap().push((plain.clone(), value));
    }
    let found = {
        let answers = imd.answers.lock().unwrap();
        let found = whole.and_then(|whole| answers.get(&whole).cloned());
        found.or_else(|| answers.get(&plain).cloned())
    };
    match found {
        Some(answer) if answer["status"].is_u64() => {
            let status = answer["status"].as_u64().unwrap().try_into().unwrap();
            (StatusCode::from_u16(status).unwrap(), Json(answer)).into_response()
        }
        Some(answer) => Json(answer).into_response(),
        None => next.run(Request::from_parts(head, body.into())).await,
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

async fn nothing() -> Response {
    Json(json!([])).into_response()
}

async fn pulse() -> Response {
    Json(json!({ "people_online": 3, "sessions": 4, "messages": 70, "uptime_seconds": 5 }))
        .into_response()
}

async fn statistics() -> Response {
    Json(json!({ "people": 12, "people_online": 3, "rooms": 2 })).into_response()
}
