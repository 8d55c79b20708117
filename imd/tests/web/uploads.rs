use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};
use imd_store::AccountStore as _;

use crate::harness::{DOMAIN, Site, Ws, text};

const NS: &str = "urn:xmpp:http:upload:0";

struct Slot {
    put: String,
    authorization: String,
    get: String,
}

async fn request(ws: &mut Ws, attributes: &str) -> imd_proto::Element {
    ws.ask(&format!(
        "<iq xmlns='jabber:client' type='get' id='slot' to='upload.{DOMAIN}'><request xmlns='{NS}' {attributes}/></iq>"
    ))
    .await
}

async fn slot(ws: &mut Ws, attributes: &str) -> Slot {
    let answer = request(ws, attributes).await;
    let slot = answer
        .child("slot", NS)
        .unwrap_or_else(|| panic!("{answer:?}"));
    let path = |name| {
        let url = slot.child(name, NS).unwrap().attr("url").unwrap();
        url.strip_prefix("https://perch.test").unwrap().to_owned()
    };
    Slot {
        put: path("put"),
        get: path("get"),
        authorization: slot.child("put", NS).unwrap().child_text("header").unwrap(),
    }
}

async fn put(site: &Site, slot: &Slot, body: &'static [u8]) -> Response<Bytes> {
    let request = Request::put(&slot.put)
        .header("host", DOMAIN)
        .header("authorization", &slot.authorization)
        .body(Full::from(body))
        .unwrap();
    site.send(request).await
}

async fn get_with(site: &Site, path: &str, name: &str, value: &str) -> Response<Bytes> {
    let request = Request::get(path)
        .header("host", DOMAIN)
        .header(name, value);
    site.send(request.body(Full::default()).unwrap()).await
}

fn condition(answer: &imd_proto::Element) -> String {
    let error = answer.child("error", "jabber:client").expect("an error");
    error.first_child().unwrap().name().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_back_as_it_went_and_survives_a_restart() {
    let mut site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let slot = slot(
        &mut alice,
        "filename='猫 1.png' size='9' content-type='image/png'",
    )
    .await;
    assert_eq!(site.get(&slot.get).await.status(), 404);
    assert_eq!(put(&site, &slot, b"PNG bytes").await.status(), 201);
    drop(alice);
    site.restart().await;
    let response = site.get(&slot.get).await;
    assert_eq!(
        (response.status().as_u16(), text(&response)),
        (200, "PNG bytes")
    );
    assert_eq!(response.headers()["content-type"], "image/png");
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let disposition = response.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(disposition, "inline; filename*=UTF-8''%E7%8C%AB%201.png");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_and_unchanged_files_are_not_sent_whole() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let slot = slot(
        &mut alice,
        "filename='a.txt' size='10' content-type='text/plain'",
    )
    .await;
    put(&site, &slot, b"0123456789").await;
    let part = get_with(&site, &slot.get, "range", "bytes=2-4").await;
    assert_eq!((part.status().as_u16(), text(&part)), (206, "234"));
    assert_eq!(part.headers()["content-range"], "bytes 2-4/10");
    let beyond = get_with(&site, &slot.get, "range", "bytes=10-").await;
    assert_eq!(beyond.status(), 416);
    assert_eq!(beyond.headers()["content-range"], "bytes */10");
    let tag = part.headers()["etag"].to_str().unwrap();
    assert_eq!(
        get_with(&site, &slot.get, "if-none-match", tag)
            .await
            .status(),
        304
    );
    let head = Request::head(&slot.get).header("host", DOMAIN);
    let head = site.send(head.body(Full::default()).unwrap()).await;
    assert_eq!(head.headers()["content-length"], "10");
    assert!(head.body().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_page_cannot_run_scripts() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let slot = slot(
        &mut alice,
        "filename='a.html' size='2' content-type='text/html'",
    )
    .await;
    put(&site, &slot, b"<a").await;
    let response = site.get(&slot.get).await;
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-security-policy").contains("sandbox"));
    assert!(header("content-disposition").starts_with("attachment"));
    assert_eq!(header("x-content-type-options"), "nosniff");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_exactly_the_announced_file_is_taken_and_once() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let mut slot = slot(&mut alice, "filename='a' size='4'").await;
    assert_eq!(put(&site, &slot, b"12345").await.status(), 413);
    assert_eq!(put(&site, &slot, b"123").await.status(), 413);
    let right = std::mem::replace(&mut slot.authorization, "Bearer 00".to_owned());
    assert_eq!(put(&site, &slot, b"1234").await.status(), 403);
    slot.authorization = right;
    assert_eq!(put(&site, &slot, b"1234").await.status(), 201);
    assert_eq!(put(&site, &slot, b"4321").await.status(), 409);
    assert_eq!(text(&site.get(&slot.get).await), "1234");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_can_be_tried_again() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let slot = slot(&mut alice, "filename='a' size='4'").await;
    let half = format!(
        "PUT {} HTTP/1.1\r\nhost: {DOMAIN}\r\nauthorization: {}\r\ncontent-length: 4\r\n\r\n12",
        slot.put, slot.authorization
    );
    let mut socket = site.socket().await;
    tokio::io::AsyncWriteExt::write_all(&mut socket, half.as_bytes())
        .await
        .unwrap();
    drop(socket);
    // The first one may still be there for a moment.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match put(&site, &slot, b"1234").await.status().as_u16() {
            201 => break,
            409 if Instant::now() < deadline => tokio::task::yield_now().await,
            other => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_bounds_say_which_bound() {
    let bounds = "[uploads]\nfile_bytes = \"100B\"\nday_bytes = \"150B\"\nuser_bytes = \"1KiB\"\n";
    let site = Site::start(bounds).await;
    let mut alice = site.login("alice").await;
    let refused = request(&mut alice, "filename='a' size='101'").await;
    assert_eq!(condition(&refused), "not-acceptable");
    let error = refused.child("error", "jabber:client").unwrap();
    let most = error
        .child("file-too-large", NS)
        .unwrap()
        .child_text("max-file-size");
    assert_eq!(most.as_deref(), Some("100"));
    slot(&mut alice, "filename='a' size='100'").await;
    let refused = request(&mut alice, "filename='a' size='100'").await;
    assert_eq!(condition(&refused), "resource-constraint");
    for bad in [
        "filename='../a' size='1'",
        "filename='a' size='0'",
        "filename='a' size='1' content-type='x'",
    ] {
        assert_eq!(
            condition(&request(&mut alice, bad).await),
            "bad-request",
            "{bad}"
        );
    }
    let mut bob = site.login("bob").await;
    slot(&mut bob, "filename='a' size='100'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_takes_no_files() {
    let site = Site::start("[uploads]\nkeep_free = \"1000000GiB\"\n").await;
    let mut alice = site.login("alice").await;
    let refused = request(&mut alice, "filename='a' size='1'").await;
    assert_eq!(condition(&refused), "resource-constraint");
    let text = refused
        .child("error", "jabber:client")
        .and_then(|error| error.child("text", "urn:ietf:params:xml:ns:xmpp-stanzas"))
        .map(imd_proto::Element::text);
    assert!(text.is_some_and(|text| text.contains("nearly full")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_is_found_by_discovery() {
    let site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let items = alice
        .ask("<iq xmlns='jabber:client' type='get' id='i' to='perch.test'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>")
        .await;
    let listed = items
        .first_child()
        .unwrap()
        .children()
        .any(|i| i.attr("jid") == Some("upload.perch.test"));
    assert!(listed, "{items:?}");
    let info = alice
        .ask("<iq xmlns='jabber:client' type='get' id='j' to='upload.perch.test'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
        .await;
    let query = info.first_child().unwrap();
    assert!(query.children().any(|f| f.attr("var") == Some(NS)));
    let form = imd_proto::form::Form::find(query).unwrap();
    assert_eq!(form.value("max-file-size"), Some("104857600"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_with_their_account() {
    let mut site = Site::start("").await;
    let mut alice = site.login("alice").await;
    let slot = slot(&mut alice, "filename='a' size='1'").await;
    put(&site, &slot, b"1").await;
    let store = site.store();
    store
        .remove_account("alice", "alice@perch.test")
        .await
        .unwrap();
    assert_eq!(site.get(&slot.get).await.status(), 404);
    site.restart().await;
    let folder = site.folder.path().join("data/uploads");
    let files = || walk(&folder);
    let deadline = Instant::now() + Duration::from_secs(10);
    while files() > 0 {
        assert!(Instant::now() < deadline, "the file is still there");
        tokio::task::yield_now().await;
    }
}

fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    entries
        .map(|path| if path.is_dir() { walk(&path) } else { 1 })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_can_be_switched_off() {
    let site = Site::start("[uploads]\nfile_bytes = \"0B\"\n").await;
    let mut alice = site.login("alice").await;
    let refused = request(&mut alice, "filename='a' size='1'").await;
    assert_eq!(condition(&refused), "remote-server-not-found");
    assert_eq!(site.get("/upload/a/b").await.status(), 404);
}
