//! A server in a temporary folder, and clients for its Unix socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use imd::config::{Config, parse};
use imd::shutdown::Shutdown;
use imd_proto::Element;
use imd_proto::xml::{Limits, parse_document};
use imd_store::sqlite::{SqliteOptions, SqliteStore};
use imd_store::{Account, AccountStore as _, Role, now_millis};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

pub const DOMAIN: &str = "perch.test";
pub const PASSWORD: &str = "correct horse";
const DEADLINE: Duration = Duration::from_secs(20);

/// A running server, stopped when dropped.
pub struct Site {
    pub folder: Arc<tempfile::TempDir>,
    pub config: Config,
    shutdown: Shutdown,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Site {
    /// Start with more settings; the accounts alice and bob exist, and admin is an administrator.
    pub async fn start(settings: &str) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let made = rcgen::generate_simple_self_signed(vec![DOMAIN.to_owned()]).unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("server.crt"), made.cert.pem()).unwrap();
        std::fs::write(path("server.key"), made.signing_key.serialize_pem()).unwrap();
        let at = |name: &str| toml_text(path(name));
        let text = format!(
            "domain = \"{DOMAIN}\"\ndata_dir = {}\n[tls]\ncertificate = {}\nkey = {}\n[listen]\nhttp_socket = {}\nadmin = {}\n{settings}",
            at("data"),
            at("server.crt"),
            at("server.key"),
            at("http.sock"),
            at("admin.sock")
        );
        let config = parse("imd.toml", &text).unwrap_or_else(|p| panic!("{p}"));
        std::fs::create_dir(path("data")).unwrap();
        let options = imd_store::sqlite::SqliteOptions {
            full_text: true,
            check: false,
        };
        let store = imd_store::sqlite::SqliteStore::open(&path("data").join("imd.sqlite"), options)
            .unwrap();
        for (name, role) in [
            ("alice", Role::Member),
            ("bob", Role::Member),
            ("admin", Role::Admin),
        ] {
            let account = Account {
                username: name.to_owned(),
                role,
                enabled: true,
                created_at: now_millis(),
            };
            let credentials = imd::sasl::derive(PASSWORD).unwrap();
            store.create_account(account, credentials).await.unwrap();
        }
        drop(store);
        let mut site = Self {
            folder,
            config,
            shutdown: Shutdown::default(),
            task: None,
        };
        site.run().await;
        site
    }

    /// The server's database, opened a second time.
    pub fn store(&self) -> SqliteStore {
        open(&self.config.data_dir)
    }

    async fn run(&mut self) {
        let (ready, started) = tokio::sync::oneshot::channel();
        self.shutdown = Shutdown::default();
        let serving = imd::cli::serve::serve(self.config.clone(), self.shutdown.clone(), |_| {
            ready.send(()).unwrap();
        });
        let serving: std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> =
            Box::pin(serving);
        self.task = Some(tokio::spawn(async { serving.await.unwrap() }));
        started.await.expect("the server starts");
    }

    /// Stop the server and wait until it has stopped.
    pub async fn stop(&mut self) {
        self.shutdown.request();
        let task = self.task.take().unwrap();
        tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
    }

    /// Stop and start again.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    pub async fn socket(&self) -> UnixStream {
        UnixStream::connect(self.folder.path().join("http.sock"))
            .await
            .unwrap()
    }

    /// Send a request and take the whole response.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        over(self.socket().await, request).await
    }

    /// GET a path.
    pub async fn get(&self, path: &str) -> Response<Bytes> {
        let request = Request::get(path).header("host", DOMAIN);
        self.send(request.body(Full::default()).unwrap()).await
    }

    /// A WebSocket on which nothing has been said.
    pub async fn web_socket(&self) -> Ws {
        let mut request = format!("ws://{DOMAIN}/ws").into_client_request().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", "xmpp".parse().unwrap());
        let (socket, response) = tokio_tungstenite::client_async(request, self.socket().await)
            .await
            .unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "xmpp");
        Ws(socket)
    }

    /// Log in over WebSocket and bind a resource.
    pub async fn login(&self, user: &str) -> Ws {
        self.login_with(user, PASSWORD).await
    }

    pub async fn login_with(&self, user: &str, password: &str) -> Ws {
        let mut ws = self.web_socket().await;
        ws.authenticate(user, password).await;
        assert_eq!(ws.receive().await.name(), "success");
        ws.open().await;
        ws.send("<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>").await;
        let bound = ws.receive().await;
        assert_eq!(bound.attr("type"), Some("result"), "{bound:?}");
        ws
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

fn open(data: &Path) -> SqliteStore {
    let options = SqliteOptions {
        full_text: true,
        check: false,
    };
    SqliteStore::open(&data.join("imd.sqlite"), options).unwrap()
}

fn toml_text(path: PathBuf) -> String {
    format!("{:?}", path.to_str().unwrap())
}

/// Send a request over a connection of its own.
pub async fn over(stream: UnixStream, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let answer = async {
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    };
    tokio::time::timeout(DEADLINE, answer)
        .await
        .expect("a response in time")
}

/// The body of a response as text.
pub fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

/// The body of a response as JSON.
pub fn json(response: &Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(response.body()).unwrap_or_else(|e| panic!("{e}: {}", text(response)))
}

/// A client's WebSocket.
pub struct Ws(WebSocketStream<UnixStream>);

impl Ws {
    pub async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub async fn send_message(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// The next frame, or `None` when the server has closed.
    pub async fn frame(&mut self) -> Option<String> {
        loop {
            let next = tokio::time::timeout(DEADLINE, self.0.next()).await;
            match next.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next element.
    pub async fn receive(&mut self) -> Element {
        let frame = self.frame().await.expect("an element, not the end");
        parse_document(&frame, Limits::default()).unwrap_or_else(|e| panic!("{e}: {frame}"))
    }

    /// Send an IQ and wait for its answer; what comes before it is dropped.
    pub async fn ask(&mut self, iq: &str) -> Element {
        let id = parse_document(iq, Limits::default()).unwrap();
        let id = id.attr("id").unwrap().to_owned();
        self.send(iq).await;
        loop {
            let element = self.receive().await;
            if element.name() == "iq" && element.attr("id") == Some(&id) {
                return element;
            }
        }
    }

    /// Open a stream and take the server's header and features.
    pub async fn open(&mut self) -> Element {
        self.send(&format!(
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{DOMAIN}' version='1.0'/>"
        ))
        .await;
        let open = self.receive().await;
        assert_eq!(open.name(), "open", "{open:?}");
        self.receive().await
    }

    /// Open a stream and send a PLAIN login.
    pub async fn authenticate(&mut self, user: &str, password: &str) {
        use base64::Engine as _;
        self.open().await;
        let secret =
            base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
        self.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"
        ))
        .await;
    }
}
