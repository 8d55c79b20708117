// A whole web site for the fuzz targets `http` and `bosh`: whatever bytes come over a connection, it answers in HTTP or
// hangs up.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use imd::listen::http::speak;
use imd::server::Server;
use imd::shutdown::Shutdown;
use imd::store::sqlite::{SqliteOptions, SqliteStore};
use imd::store::{Account, AccountStore as _, Role, Upload, UploadQuota, UploadStore as _};
use imd::web::{Parts, Peer, Web, site};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What `GET /upload/picture-0123456789/a.txt` gives.
const FILE: &[u8] = b"0123456789abcdef";
const ID: &str = "picture-0123456789";
/// How long the site has to answer what is a whole request. Others are given up then.
const PATIENCE: Duration = Duration::from_millis(30);
/// How long it has to hang up after that.
const END: Duration = Duration::from_secs(20);

static PANICKED: AtomicBool = AtomicBool::new(false);

struct Site {
    runtime: tokio::runtime::Runtime,
    router: axum::Router,
    _web: Arc<Web>,
    _folder: tempfile::TempDir,
}

impl Site {
    fn start() -> Self {
        // Panics of tasks beside the request's own count as well.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.store(true, Ordering::Relaxed);
            before(info);
        }));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let web = runtime.block_on(web(folder.path()));
        Self {
            runtime,
            router: site(&web),
            _web: web,
            _folder: folder,
        }
    }
}

async fn web(folder: &Path) -> Arc<Web> {
    let made = rcgen::generate_simple_self_signed(vec!["perch.test".to_owned()]).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::fs::write(file("server.crt"), made.cert.pem()).unwrap();
    std::fs::write(file("server.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::create_dir(file("chat")).unwrap();
    std::fs::write(file("chat/converse.min.js"), "script").unwrap();
    let text = format!(
        "domain = \"perch.test\"\ndata_dir = {:?}\n[tls]\ncertificate = {:?}\nkey = {:?}\n[web]\nweb_root = {:?}\n\
         [limits]\nconnections_before_login = 8\nlogin_timeout = \"5s\"\n",
        folder.to_str().unwrap(),
        file("server.crt"),
        file("server.key"),
        file("chat")
    );
    let config = imd::config::parse("imd.toml", &text).unwrap_or_else(|p| panic!("{p}"));
    let options = SqliteOptions {
        full_text: false,
        check: false,
    };
    let store = SqliteStore::open(&folder.join("imd.sqlite"), options).unwrap();
    let account = Account {
        username: "alice".to_owned(),
        role: Role::Member,
        enabled: true,
        created_at: 0,
    };
    let credentials = imd::sasl::derive("secret").unwrap();
    store.create_account(account, credentials).await.unwrap();
    let upload = Upload {
        id: ID.to_owned(),
        user: Some("alice".to_owned()),
        filename: "a.txt".to_owned(),
        size: FILE.len() as u64,
        content_type: Some("text/plain".to_owned()),
        created_at: imd::store::now_millis(),
        complete: false,
    };
    let quota = UploadQuota {
        user_bytes: 1 << 20,
        day_bytes: 1 << 20,
        day_start: 0,
        total_bytes: 1 << 20,
    };
    store.reserve_upload(upload, quota).await.unwrap();
    store.complete_upload(ID).await.unwrap();
    let uploads = folder.join("uploads").join(&ID[..2]);
    std::fs::create_dir_all(&uploads).unwrap();
    std::fs::write(uploads.join(ID), FILE).unwrap();
    let server = Server::new(config, Arc::new(store), Shutdown::default()).unwrap();
    let parts = Parts::start(&server).await.unwrap();
    Web::new(server, parts).0
}

fn the_site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(Site::start)
}

/// Whatever comes over a connection is answered in HTTP, without an error of the server's own and without a panic, and a
/// part of a file is the part that it says it is.
pub fn http(data: &[u8]) {
    let site = the_site();
    let answer = site.runtime.block_on(connection(site, data));
    assert!(!PANICKED.load(Ordering::Relaxed), "something panicked");
    check(&answer);
}

/// Whatever bodies come in a BOSH session, in whatever order, each answer is a body. Each line of the input is a request;
/// SID in it is the session's.
pub fn bosh(data: &[u8]) {
    let site = the_site();
    let text = String::from_utf8_lossy(data);
    site.runtime.block_on(async {
        let begun = ask(site, BEGIN).await;
        let Some(sid) = begun
            .split("sid='")
            .nth(1)
            .and_then(|rest| rest.split('\'').next())
        else {
            // Too many sessions of before have not ended yet.
            return;
        };
        // All at once, in a window that is wider than the session's.
        let lines: Vec<_> = text
            .lines()
            .take(8)
            .map(|line| line.replace("SID", sid))
            .collect();
        futures_util::future::join_all(lines.iter().map(|line| ask(site, line))).await;
        // Whatever they were, the session ends now or has ended.
        ask(
            site,
            &format!("<body xmlns='{HTTPBIND}' rid='9' sid='{sid}' type='terminate'/>"),
        )
        .await;
    });
    assert!(!PANICKED.load(Ordering::Relaxed), "something panicked");
}

const HTTPBIND: &str = "http://jabber.org/protocol/httpbind";
const BEGIN: &str = "<body xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' to='perch.test' rid='1' \
                     wait='1' hold='1' ver='1.6' xmpp:version='1.0'/>";

/// POST a body; its answer, or nothing where it is held for longer than the site has to answer.
async fn ask(site: &Site, body: &str) -> String {
    let request = format!(
        "POST /bosh HTTP/1.1\r\nhost: perch.test\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (client, stream) = tokio::io::duplex(1 << 20);
    let served = speak(stream, site.router.clone(), peer(), std::future::pending());
    let talked = talk(client, request.as_bytes());
    tokio::pin!(served, talked);
    // A request that is held is given up, as by a browser that goes.
    let answer = tokio::select! {
        answer = &mut talked => answer,
        _ = &mut served => talked.await,
    };
    let answer = String::from_utf8(answer).unwrap();
    if let Some((head, rest)) = answer.split_once("\r\n\r\n") {
        let whole = rest.split("HTTP/1.1 ").next().unwrap_or_default();
        let refused = head.starts_with("HTTP/1.1 413");
        assert!(refused || head.starts_with("HTTP/1.1 200"), "{head}");
        let read = imd_proto::xml::parse_document(whole, imd_proto::xml::Limits::default());
        assert!(
            refused || read.is_ok_and(|body| body.is("body", HTTPBIND)),
            "{answer}"
        );
    }
    answer
}

/// What a connection answers to the input. It has to end then.
async fn connection(site: &Site, data: &[u8]) -> Vec<u8> {
    let (client, stream) = tokio::io::duplex(1 << 20);
    let served = speak(stream, site.router.clone(), peer(), std::future::pending());
    let talked = talk(client, data);
    let both = async { tokio::join!(served, talked).1 };
    tokio::time::timeout(END, both)
        .await
        .expect("the connection ends in time")
}

fn peer() -> Peer {
    Peer::new([192, 0, 2, 1].into(), None)
}

/// Send the input, then a request that ends the connection; what has been answered.
async fn talk(mut client: tokio::io::DuplexStream, data: &[u8]) -> Vec<u8> {
    let last = b"GET /health HTTP/1.1\r\nhost: perch.test\r\nconnection: close\r\n\r\n";
    let mut answer = Vec::new();
    // A connection that is closed already takes nothing more, which is an answer too.
    let sent =
        async { client.write_all(data).await.is_ok() && client.write_all(last).await.is_ok() };
    if tokio::time::timeout(PATIENCE, sent).await != Ok(true) {
        return answer;
    }
    let read = async {
        while client
            .read_buf(&mut answer)
            .await
            .is_ok_and(|read| read > 0)
        {}
    };
    // Half a request, or a WebSocket.
    let _ = tokio::time::timeout(PATIENCE, read).await;
    answer
}

fn check(answer: &[u8]) {
    if answer.is_empty() {
        return;
    }
    let Some(end) = answer.windows(4).position(|at| at == b"\r\n\r\n") else {
        return;
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    assert!(
        head.starts_with("HTTP/1.1 ") || head.starts_with("HTTP/1.0 "),
        "{head}"
    );
    let status = head.get(9..12).unwrap_or_default();
    assert_ne!(status, "500", "{head}");
    if status == "206" && !head.contains("transfer-encoding") {
        let body = &answer[end + 4..];
        let range = head.split("content-range: bytes ").nth(1).unwrap();
        let (first, rest) = range.split_once('-').unwrap();
        let last = rest.split('/').next().unwrap();
        let part = &FILE[first.parse().unwrap()..=last.parse().unwrap()];
        // HEAD has no body: what follows is the next answer.
        assert!(
            body.starts_with(part) || body.starts_with(b"HTTP/1.") || body.is_empty(),
            "{head}"
        );
    }
}
